package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// rates are the decisions a second of one limiter, by the number of callers.
type rates struct {
	name, algorithm string
	perSecond       []float64
}

var callers = []int{1, 8, 64, 256}

// doesNothing is in the results, but limits nothing and is no bound of what a limiter could do.
const doesNothing = "floor: EVALSHA return 1"

// readThroughput reads what "make bench" measured of calls that are all allowed.
func readThroughput(results string) ([]rates, error) {
	var all []rates
	for i, n := range callers {
		file := filepath.Join(results, fmt.Sprintf("allowed-c%d.csv", n))
		rows, err := readTable(file)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			name := row["limiter"]
			if name == doesNothing {
				continue
			}
			perSecond, err := number(row, "decisions/s")
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			at := slices.IndexFunc(all, func(r rates) bool { return r.name == name })
			if at < 0 {
				at, all = len(all), append(all, rates{name: name, algorithm: row["algorithm"], perSecond: make([]float64, len(callers))})
			}
			all[at].perSecond[i] = perSecond
		}
	}
	return all, nil
}

func drawThroughput(theme theme, all []rates) string {
	const height, left, right, top, bottom = 460, 64, 230, 64, 400
	c := newCanvas(theme, height)
	c.text(left, 30, 17, c.ink, "start", "Decisions a second on one Redis", `font-weight="600"`)
	c.text(left, 50, 12, c.muted, "start", "Every call is allowed, over 10,000 keys; measured by make bench, whose page of results names the machine.")

	highest := 0.0
	for _, r := range all {
		highest = max(highest, slices.Max(r.perSecond))
	}
	const grid = 20_000
	y := scale{0, grid * float64(int(highest/grid)+1), bottom, top + 10}
	x := scale{0, float64(len(callers) - 1), left + 14, width - right}
	for v := 0.0; v <= y.to; v += grid {
		c.line(left, y.of(v), x.end, y.of(v), c.grid, 1)
		c.text(left-8, y.of(v)+4, 12, c.muted, "end", strconv.Itoa(int(v/1000))+"k")
	}
	for i, n := range callers {
		c.text(x.of(float64(i)), bottom+20, 12, c.muted, "middle", strconv.Itoa(n))
	}
	c.text((x.at+x.end)/2, bottom+42, 12, c.muted, "middle", "concurrent callers in one process")
	c.text(18, (y.at+y.end)/2, 12, c.muted, "middle", "decisions a second", fmt.Sprintf(`transform="rotate(-90 18 %s)"`, px((y.at+y.end)/2)))

	// Highest first, so that their names can be moved apart downwards.
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b rates) int { return int(b.perSecond[len(callers)-1] - a.perSecond[len(callers)-1]) })
	heights := make([]float64, len(ordered))
	for i, r := range ordered {
		heights[i] = y.of(r.perSecond[len(callers)-1])
	}
	places := apart(heights, 17, top+10, bottom+8)
	for i, r := range ordered {
		colour, stroke, weight, attributes := c.peers[i%len(c.peers)], 1.5, "400", []string(nil)
		switch {
		case strings.HasPrefix(r.name, "ratelimit"):
			colour, stroke, weight = c.allowed, 3.5, "700"
		case strings.HasPrefix(r.name, "floor"):
			colour, attributes = c.muted, []string{`stroke-dasharray="2 4"`}
		}
		var points []point
		for n, v := range r.perSecond {
			points = append(points, point{x.of(float64(n)), y.of(v)})
		}
		c.path(points, colour, stroke, attributes...)
		for _, p := range points {
			c.add(`<circle cx="%s" cy="%s" r="%s" fill="%s"/>`, px(p.x), px(p.y), px(stroke+1), colour)
		}
		c.path([]point{{x.end + 6, heights[i]}, {x.end + 20, places[i]}}, colour, 1)
		c.text(x.end+24, places[i]+4, 12, colour, "start", label(r), fmt.Sprintf(`font-weight="%s"`, weight))
	}
	return c.svg("Throughput at 1 to 256 callers", fmt.Sprintf("Decisions a second at %v callers, from the tables in %s.", callers, resultsDir))
}

func label(r rates) string {
	switch {
	case strings.HasPrefix(r.name, "ratelimit"):
		return "this library (exact)"
	case strings.HasPrefix(r.name, "floor: "):
		return "bare " + strings.TrimPrefix(r.name, "floor: ") + ", no limiter"
	case strings.HasPrefix(r.algorithm, "sliding log"):
		return r.name + " (exact)"
	}
	return r.name
}

// apart moves heights that are sorted downwards so that they are a distance apart, and
// between top and bottom.
func apart(heights []float64, distance, top, bottom float64) []float64 {
	places := slices.Clone(heights)
	for i := range places {
		if places[i] = max(places[i], top); i > 0 {
			places[i] = max(places[i], places[i-1]+distance)
		}
	}
	for i := len(places) - 1; i >= 0; i-- {
		if places[i] = min(places[i], bottom); i < len(places)-1 {
			places[i] = min(places[i], places[i+1]-distance)
		}
	}
	return places
}
