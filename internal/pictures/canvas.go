package main

import (
	"fmt"
	"html"
	"strconv"
	"strings"
)

// theme has the colours of a light or a dark page. Those of data are told apart by people who
// see fewer colours (after Okabe and Ito), and differ in lightness or hatching besides.
type theme struct {
	name                          string
	page, ink, muted, grid, panel string
	allowed, refused, failed      string
	peers                         []string // of lines beside ours
}

var (
	light = theme{
		name: "light", page: "#ffffff", ink: "#1f2328", muted: "#59636e", grid: "#d8dee4", panel: "#f3f5f7",
		allowed: "#0072b2", refused: "#e69f00", failed: "#a3123a",
		peers: []string{"#007a5a", "#a8471a", "#a0527f", "#59636e", "#7a6400", "#4b5fa8", "#8b2f2f", "#1f2328"},
	}
	dark = theme{
		name: "dark", page: "#0d1117", ink: "#e6edf3", muted: "#9ea7b3", grid: "#30363d", panel: "#161b22",
		allowed: "#56b4e9", refused: "#e69f00", failed: "#ff7b9c",
		peers: []string{"#3fc79a", "#f08a5d", "#e3a0c8", "#9ea7b3", "#d8c343", "#96a8ff", "#e58a8a", "#e6edf3"},
	}
)

// canvas collects the elements of an SVG.
type canvas struct {
	theme
	width, height int
	elements      strings.Builder
}

// width of every picture.
const width = 760

func newCanvas(theme theme, height int) *canvas {
	return &canvas{theme: theme, width: width, height: height}
}

func (c *canvas) add(format string, args ...any) {
	fmt.Fprintf(&c.elements, format+"\n", args...)
}

// px is a coordinate, to a tenth.
func px(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// text writes at x, y; anchor is start, middle or end.
func (c *canvas) text(x, y float64, size int, colour, anchor, text string, attributes ...string) {
	c.add(`<text x="%s" y="%s" font-size="%d" fill="%s" text-anchor="%s"%s>%s</text>`,
		px(x), px(y), size, colour, anchor, joined(attributes), html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string, width float64, attributes ...string) {
	c.add(`<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-width="%s"%s/>`,
		px(x1), px(y1), px(x2), px(y2), colour, px(width), joined(attributes))
}

func (c *canvas) rect(x, y, width, height float64, fill string, attributes ...string) {
	c.add(`<rect x="%s" y="%s" width="%s" height="%s" fill="%s"%s/>`,
		px(x), px(y), px(width), px(height), fill, joined(attributes))
}

func (c *canvas) path(points []point, colour string, width float64, attributes ...string) {
	var d strings.Builder
	for i, p := range points {
		d.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + px(p.x) + " " + px(p.y))
	}
	c.add(`<path d="%s" fill="none" stroke="%s" stroke-width="%s" stroke-linejoin="round"%s/>`,
		d.String(), colour, px(width), joined(attributes))
}

type point struct{ x, y float64 }

func joined(attributes []string) string {
	if len(attributes) == 0 {
		return ""
	}
	return " " + strings.Join(attributes, " ")
}

// svg is the picture; title and description are for those who do not see it.
func (c *canvas) svg(title, description string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d" font-family="-apple-system,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif">
<title id="t">%s</title>
<desc id="d">%s</desc>
<defs>
<pattern id="hatch-allowed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="%s"/><rect width="3" height="6" fill="%s"/></pattern>
<pattern id="hatch-refused" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="%s"/><rect width="3" height="6" fill="%s"/></pattern>
<marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="%s"/></marker>
</defs>
<rect width="%d" height="%d" rx="8" fill="%s"/>
%s</svg>
`, c.width, c.height, c.width, c.height, html.EscapeString(title), html.EscapeString(description),
		c.page, c.allowed, c.page, c.refused, c.muted, c.width, c.height, c.page, c.elements.String())
}

// scale maps values to coordinates.
type scale struct{ from, to, at, end float64 }

func (s scale) of(v float64) float64 { return s.at + (v-s.from)/(s.to-s.from)*(s.end-s.at) }
