package main

import "fmt"

// box is a step of the drawing, with its lines of text.
type box struct {
	x, y, width, height float64
	title               string
	lines               []string
}

// drawDecision draws how one decision travels. Nothing in it is measured.
func drawDecision(theme theme) string {
	const height, left = 470, 20
	c := newCanvas(theme, height)
	c.text(left, 30, 17, c.ink, "start", "How one decision travels", `font-weight="600"`)

	boxes := []box{
		{left, 56, 160, 92, "Your code", []string{"limiter.Allow(ctx, key)", "in any goroutine,", "of any instance"}},
		{left + 190, 56, 160, 92, "Guard", []string{"In an outage the", "policy answers: closed,", "open or fallback."}},
		{left + 380, 56, 160, 92, "Store", []string{"A lone call goes alone,", "calls at the same time", "share one command."}},
		{left + 570, 56, 150, 92, "Redis", []string{"One Lua script,", "on Redis's clock,", "for all limits at once."}},
	}
	for i, b := range boxes {
		c.box(b)
		if i > 0 {
			from := boxes[i-1]
			c.line(from.x+from.width+3, b.y+46, b.x-3, b.y+46, c.muted, 1.5, `marker-end="url(#arrow)"`)
		}
	}

	// The log in Redis: a hit that has left, hits that count, the call that asks.
	const top, bottom = 196.0, 336.0
	c.rect(left, top, 720, bottom-top, c.panel, `rx="8"`)
	c.text(left+14, top+24, 13, c.ink, "start", "The log of the key: one entry for each allowed call", `font-weight="600"`)
	c.path([]point{{left + 645, 151}, {left + 645, top - 3}}, c.muted, 1.5, `marker-end="url(#arrow)"`)
	axis := top + 84
	c.line(left+30, axis, left+690, axis, c.muted, 1.5, `marker-end="url(#arrow)"`)
	c.text(left+690, axis+20, 12, c.muted, "end", "time")
	const windowStart, now = left + 180.0, left + 600.0
	c.rect(windowStart, axis-22, now-windowStart, 44, c.allowed, `opacity="0.16"`)
	c.line(windowStart, axis-28, windowStart, axis+28, c.muted, 1.5, `stroke-dasharray="4 3"`)
	c.text(windowStart, axis+44, 12, c.muted, "middle", "now - Window")
	c.line(now, axis-28, now, axis+28, c.ink, 1.5)
	c.text(now, axis+44, 12, c.ink, "middle", "now")
	for _, x := range []float64{70, 112} {
		c.add(`<circle cx="%s" cy="%s" r="6" fill="none" stroke="%s" stroke-width="1.5"/>`, px(left+x), px(axis), c.muted)
	}
	for _, x := range []float64{230, 262, 270, 340, 431, 470, 478, 540} {
		c.add(`<circle cx="%s" cy="%s" r="6" fill="%s"/>`, px(left+x), px(axis), c.allowed)
	}
	c.text(left+91, axis-18, 12, c.muted, "middle", "left the window")
	c.text((windowStart+now)/2, axis-30, 12, c.ink, "middle", "these count")

	answers := []box{
		{left, 376, 345, 76, "They and the call's cost are at most Max", []string{"Allowed: the call is written to the log,", "and counts for exactly one Window."}},
		{left + 375, 376, 345, 76, "They are more than Max", []string{"Refused: nothing is written. RetryAfter tells", "when the same call fits, exactly."}},
	}
	for i, b := range answers {
		c.box(b)
		c.rect(b.x, b.y, 5, b.height, []string{c.allowed, c.refused}[i], `rx="2"`)
		c.line(b.x+b.width/2, bottom+3, b.x+b.width/2, b.y-3, c.muted, 1.5, `marker-end="url(#arrow)"`)
	}
	return c.svg("How one decision travels", "A call goes through the guard and the store to one Lua script in Redis, which counts the entries of the key's log that lie within the last Window. If they and the call's cost are at most Max, the call is allowed and written to the log; otherwise it is refused and nothing is written.")
}

func (c *canvas) box(b box) {
	c.rect(b.x, b.y, b.width, b.height, c.panel, `rx="8"`, fmt.Sprintf(`stroke="%s"`, c.grid))
	c.text(b.x+14, b.y+24, 13, c.ink, "start", b.title, `font-weight="600"`)
	for i, line := range b.lines {
		c.text(b.x+14, b.y+44+float64(i)*17, 12, c.muted, "start", line)
	}
}
