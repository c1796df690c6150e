//go:build browser

package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
)

func TestABurstIsRefusedExactlyPastMax(t *testing.T) {
	p := visit(t, playground(t, "REDIS_URL=memory://"), desktop)
	p.choose(t, "7", "60", "1")
	p.do(t, chromedp.Click(button(0, "burst")))
	s := p.awaitHits(t, 12)
	assert.Equal(t, map[string]int{"allowed": 7, "refused": 5, "waiting": 0, "failed": 0}, s.Instances[0])

	p.do(t, chromedp.Click(button(0, "hit")))
	p.awaitHits(t, 13)
	p.do(t, await(`document.querySelector('#message').textContent.startsWith('Refused.')`))
	headers := p.text(t, "#instance-0 [data-headers]")
	assert.Contains(t, headers, "429 Too Many Requests")
	assert.Contains(t, headers, `ratelimit-policy: "playground";q=7;w=60`)
	assert.Contains(t, headers, "retry-after: ")
	assert.Contains(t, headers, "x-ratelimit-remaining: 0")
}

func TestCostAndFaultsOfTheForm(t *testing.T) {
	p := visit(t, playground(t, "REDIS_URL=memory://"), desktop)
	p.choose(t, "7", "60", "3")
	p.do(t, chromedp.Click(button(0, "burst")))
	s := p.awaitHits(t, 12)
	assert.Equal(t, 2, s.Instances[0]["allowed"])

	p.do(t, chromedp.SetValue("#cost", "8"), chromedp.Click("#apply"),
		await(`document.querySelector('#message').textContent === 'cost is 8; allowed: 1 to 7'`))
	assert.Equal(t, 3, p.state(t).Settings.Cost)
}

func TestTwoInstancesOnRedisShareTheQuota(t *testing.T) {
	prefix := redistest.Prefix(t, redistest.Client(t))
	p := visit(t, playground(t, "REDIS_URL="+redistest.URL(t), "REDIS_PREFIX="+prefix, "REDIS_TIMEOUT=30s"), desktop)
	p.choose(t, "5", "60", "1")
	for i := range 4 {
		p.do(t, chromedp.Click(button(i%2, "hit")))
	}
	p.awaitHits(t, 4)
	p.do(t, chromedp.Click(button(1, "burst")))
	s := p.awaitHits(t, 14)
	assert.Equal(t, 2, s.Instances[0]["allowed"])
	assert.Equal(t, 3, s.Instances[1]["allowed"], "of 5, the other has 2")
	assert.Equal(t, 9, s.Instances[1]["refused"])
}

func TestWaitersHavePlacesAheadOfNow(t *testing.T) {
	p := visit(t, playground(t, "REDIS_URL=memory://"), desktop)
	p.choose(t, "2", "60", "1")
	for range 3 {
		p.do(t, chromedp.Click(button(0, "wait")))
	}
	s := p.awaitHits(t, 3)
	assert.Equal(t, map[string]int{"allowed": 2, "refused": 0, "waiting": 1, "failed": 0}, s.Instances[0])
	p.do(t, await(`document.querySelector('#used').textContent.includes('2 of 2 and 1 waiting')`))
}

func TestTheSteadyStreamStops(t *testing.T) {
	p := visit(t, playground(t, "REDIS_URL=memory://"), desktop)
	p.choose(t, "100", "60", "1")
	p.do(t, chromedp.SetValue(button(0, "rate"), "10"), chromedp.Click(button(0, "stream")),
		await(`Number(document.querySelector('#instance-0 [data-count="allowed"]').textContent) >= 5`),
		chromedp.Click(button(0, "stream")))
	assert.Equal(t, "false", evaluate[string](t, p, `document.querySelector('`+button(0, "stream")+`').getAttribute('aria-pressed')`))
	assert.Eventually(t, func() bool { // once those on their way have come
		n := len(p.state(t).Hits)
		time.Sleep(2 * time.Second)
		return len(p.state(t).Hits) == n
	}, patience, time.Second)
}

// The keyboard alone reaches the form and every button, in the order of the page.
func TestTheKeyboardDoes(t *testing.T) {
	p := visit(t, playground(t, "REDIS_URL=memory://"), desktop)
	var reached []string
	for range 10 {
		p.do(t, chromedp.KeyEvent(kb.Tab))
		reached = append(reached, evaluate[string](t, p, `document.activeElement.id || document.activeElement.dataset.do || ''`))
	}
	assert.Equal(t, []string{"max", "window", "cost", "apply", "edge", "hit", "burst", "wait", "stream", "rate"}, reached)
	assert.NotEqual(t, "none", evaluate[string](t, p, `getComputedStyle(document.activeElement).outlineStyle`), "the focus is seen")

	p.do(t, chromedp.Focus(button(0, "burst")), chromedp.KeyEvent(kb.Enter))
	p.awaitHits(t, 15)
	assert.Equal(t, "burst", evaluate[string](t, p, `document.activeElement.dataset.do`), "a button that was at work has the focus still")
}

// A page that slides draws again and again; one with reduced motion once a second at most.
func TestReducedMotionSlidesInSteps(t *testing.T) {
	url := playground(t, "REDIS_URL=memory://")
	// How often something is drawn, by how often the browser could have.
	const measure = `new Promise((done) => {
		const brush = document.querySelector('#line').getContext('2d');
		const clear = brush.clearRect.bind(brush);
		let drawn = 0, frames = 0;
		brush.clearRect = (...all) => { drawn++; clear(...all); };
		const began = performance.now();
		const frame = () => { frames++; if (frames >= 40 && performance.now() - began > 2000) done({drawn, frames, seconds: (performance.now() - began) / 1000}); else requestAnimationFrame(frame); };
		requestAnimationFrame(frame);
	})`
	type measured struct {
		Drawn, Frames int
		Seconds       float64
	}
	sliding := evaluate[measured](t, visit(t, url, desktop), measure)
	assert.GreaterOrEqual(t, sliding.Drawn, sliding.Frames-2)
	steps := evaluate[measured](t, visit(t, url, look{width: 1100, height: 900, scheme: "light", reducedMotion: true}), measure)
	assert.LessOrEqual(t, float64(steps.Drawn), steps.Seconds+1)
}

var looks = map[string]look{
	"light": desktop,
	"dark":  {width: 1100, height: 900, scheme: "dark"},
	"phone": {width: 360, height: 740, scheme: "light"},
}

// violation is what axe-core finds.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

func TestAxeFindsNothingSerious(t *testing.T) {
	require.NotEmpty(t, *axe, "run by make browser, which fetches axe-core")
	script, err := os.ReadFile(*axe)
	require.NoError(t, err)
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			p := visit(t, playground(t, "REDIS_URL=memory://"), look)
			p.do(t, chromedp.Click(button(0, "burst")))
			p.awaitHits(t, 15)
			p.do(t, chromedp.Evaluate[chromedp.Void](string(script)))
			found := evaluate[[]violation](t, p, `axe.run().then((result) => result.violations)`)
			for _, v := range found {
				t.Logf("%s (%s): %s %+v", v.ID, v.Impact, v.Help, v.Nodes)
				assert.NotContains(t, []string{"serious", "critical"}, v.Impact, "%s: %s", v.ID, v.Help)
			}
			passes := evaluate[int](t, p, `axe.run().then((result) => result.passes.length)`)
			assert.Greater(t, passes, 10, "axe has looked")
		})
	}
}

func TestThePageFitsAPhone(t *testing.T) {
	p := visit(t, playground(t, "REDIS_URL=memory://"), looks["phone"])
	assert.LessOrEqual(t, evaluate[int](t, p, `document.documentElement.scrollWidth`), 360)
}

func TestTheEdgeBurstTellsWhatEachLetThrough(t *testing.T) {
	prefix := redistest.Prefix(t, redistest.Client(t))
	url := playground(t, "REDIS_URL="+redistest.URL(t), "REDIS_PREFIX="+prefix, "REDIS_TIMEOUT=30s")
	p := visit(t, url, desktop)
	p.choose(t, "10", "4", "1")
	p.do(t, chromedp.Click("#edge"),
		await(`document.querySelector('#message').textContent.startsWith('Of 20 requests')`))
	s := p.awaitHits(t, 20)
	// On a computer that stalls, the bursts may miss the edge; what the page says is true in any case.
	assert.Equal(t, fmt.Sprintf("Of 20 requests, the sliding log let %d through, and the fixed window %d.",
		s.Instances[0]["allowed"], s.Fixed["allowed"]), p.text(t, "#message"))
}

func TestScreenshotsAreKept(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no -screenshots")
	}
	for name, look := range looks {
		prefix := redistest.Prefix(t, redistest.Client(t))
		p := visit(t, playground(t, "REDIS_URL="+redistest.URL(t), "REDIS_PREFIX="+prefix, "REDIS_TIMEOUT=30s"), look)
		p.choose(t, "10", "20", "1")
		for i := range 4 {
			p.do(t, chromedp.Click(button(i%2, "hit")), chromedp.Sleep(time.Second))
		}
		p.do(t, chromedp.Click(button(0, "burst")))
		p.awaitHits(t, 19)
		for range 3 {
			p.do(t, chromedp.Sleep(500*time.Millisecond), chromedp.Click(button(1, "wait")))
		}
		p.awaitHits(t, 22)
		save(t, p, name)
	}
}

func save(t *testing.T, p *page, name string) {
	t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(*screenshots, "playground-"+name+".png"), png, 0o644))
}
