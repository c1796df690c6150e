package main

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// plotted makes a plot, which the report gives its place and its caption.
type plotted func() (*plot.Plot, error)

// curves are lines over sizes, one for each name, in the order in which names first came.
type curves struct {
	title, x, y string
	linear      bool // x has a linear scale, else a logarithmic one with the sizes marked
	logY        bool // y has a logarithmic scale, else one from 0
	names       []string
	points      map[string]plotter.XYs
}

func (c *curves) add(name string, x, y float64) {
	if c.points == nil {
		c.points = map[string]plotter.XYs{}
	}
	if _, known := c.points[name]; !known {
		c.names = append(c.names, name)
	}
	if c.logY {
		y = math.Max(y, 1e-3) // a logarithm needs it
	}
	c.points[name] = append(c.points[name], plotter.XY{X: x, Y: y})
}

func (c *curves) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Add(plotter.NewGrid())
	var sizes []float64
	for i, name := range c.names {
		line, marks, err := plotter.NewLinePoints(c.points[name])
		if err != nil {
			return nil, err
		}
		line.Color, marks.Color = plotutil.Color(i), plotutil.Color(i)
		line.Dashes, marks.Shape = plotutil.Dashes(i/len(plotutil.SoftColors)), plotutil.Shape(i)
		if strings.HasPrefix(name, "ratelimit") {
			line.Width = vg.Points(2.5)
		}
		p.Add(line)
		if c.linear {
			p.Legend.Add(name, line)
		} else {
			p.Add(marks)
			p.Legend.Add(name, line, marks)
		}
		for _, point := range c.points[name] {
			sizes = append(sizes, point.X)
		}
	}
	if !c.linear {
		logarithmic(&p.X)
		p.X.Tick.Marker = sizeTicks(sizes)
	}
	if c.logY {
		logarithmic(&p.Y)
		p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	} else {
		p.Y.Min, p.Y.Tick.Marker = 0, plainTicks{}
	}
	outsideLegend(p)
	return p, nil
}

// plainTicks are gonum's with numbers in their shortest form.
type plainTicks struct{}

// Ticks implements plot.Ticker.
func (plainTicks) Ticks(from, to float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(from, to)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'g', 6, 64)
		}
	}
	return ticks
}

// logarithmic leaves some room at both ends: an axis of one point would be widened by 1 to
// each side, which may be below 0.
func logarithmic(axis *plot.Axis) {
	axis.Scale, axis.Min, axis.Max = plot.LogScale{}, axis.Min/1.2, axis.Max*1.2
}

// sizeTicks marks the sizes that were measured, and no others.
func sizeTicks(sizes []float64) plot.ConstantTicks {
	sizes = slices.Compact(slices.Sorted(slices.Values(sizes)))
	var ticks plot.ConstantTicks
	last := 0.0
	for _, size := range sizes {
		label := strconv.FormatFloat(size, 'f', -1, 64)
		if last > 0 && size < 1.5*last {
			label = "" // 100 and 127 would meet
		}
		ticks = append(ticks, plot.Tick{Value: size, Label: label})
		last = size
	}
	return ticks
}

// bars are groups of bars: a name for each place, and a bar in it for each group.
type bars struct {
	title, y string
	groups   []string
	limit    float64 // where a line across is, in whose multiples x is told, if not 0
	names    []string
	values   [][]float64 // by name, then by group
}

func (b *bars) add(name string, values ...float64) {
	b.names, b.values = append(b.names, name), append(b.values, values)
}

// plot draws them lying, so that there is room for their names; the first is on top.
func (b *bars) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = b.title, b.y
	width := vg.Points(18 / float64(len(b.groups)))
	names := slices.Clone(b.names)
	slices.Reverse(names)
	for g, group := range b.groups {
		var values plotter.Values
		for _, v := range slices.Backward(b.values) {
			values = append(values, v[g])
		}
		chart, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		chart.Horizontal, chart.Color, chart.LineStyle.Width = true, plotutil.Color(g+1), 0
		chart.Offset = width * vg.Length(float64(len(b.groups)-1)/2-float64(g))
		p.Add(chart)
		if len(b.groups) > 1 {
			p.Legend.Add(group, chart)
		}
	}
	p.X.Min, p.X.Max, p.X.Tick.Marker = 0, 1.05*p.X.Max, plainTicks{}
	if b.limit != 0 {
		line, err := plotter.NewLine(plotter.XYs{{X: b.limit, Y: -0.5}, {X: b.limit, Y: float64(len(names)) - 0.5}})
		if err != nil {
			return nil, err
		}
		line.Width = vg.Points(1.5)
		p.Add(line)
		p.Legend.Add("Max", line)
		p.X.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: b.limit, Label: "1"}, {Value: 2 * b.limit, Label: "2"}}
	}
	p.NominalY(names...)
	outsideLegend(p)
	return p, nil
}

// outsideLegend puts the legend on top at the right, where the report leaves room for it.
func outsideLegend(p *plot.Plot) {
	p.Legend.Top = true
	p.Legend.XOffs = legendWidth - vg.Points(8)
	p.Legend.Padding = vg.Points(2)
}

func barsOfRates(title string, results []result) plotted {
	b := &bars{title: title, y: "decisions/s", groups: []string{"decisions/s"}}
	for _, r := range results {
		b.add(r.name, r.perSecond)
	}
	return b.plot
}
