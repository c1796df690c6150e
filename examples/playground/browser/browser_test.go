//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

var (
	chromium    = flag.String("chromium", "", "the browser's program; looked for if empty")
	axe         = flag.String("axe", "", "the file axe.min.js of npm's axe-core")
	screenshots = flag.String("screenshots", "", "a folder to put screenshots into; none are made if empty")
)

// patience bounds what takes a moment; a slow computer may take long.
const patience = 2 * time.Minute

var program string // the playground, built once

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "playground")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "playground")
	build := exec.Command("go", "build", "-C", "../../..", "-buildvcs=false", "-o", program, "./examples/playground")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	redistest.Main(m)
}

// playground runs the program until the test ends, and returns the URL of its page.
func playground(t *testing.T, environ ...string) string {
	t.Helper()
	port, err := subprocess.FreePort()
	require.NoError(t, err)
	run := exec.CommandContext(t.Context(), program)
	run.Env = append(os.Environ(), append(environ, "PORT="+itoa(port))...)
	run.Stderr = os.Stderr
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 30 * time.Second
	require.NoError(t, run.Start())
	t.Cleanup(func() { _ = run.Wait() }) // it was interrupted
	url := "http://127.0.0.1:" + itoa(port)
	require.Eventually(t, func() bool {
		resp, err := http.Get(url + "/api/state")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, patience, 50*time.Millisecond)
	return url
}

func itoa(n int) string { text, _ := json.Marshal(n); return string(text) }

// page is a tab of a browser of the test's own.
type page struct {
	ctx context.Context
	url string
}

// look is how a visitor sees the page.
type look struct {
	width, height int64
	scheme        string // light or dark
	reducedMotion bool
}

var desktop = look{width: 1100, height: 900, scheme: "light"}

func visit(t *testing.T, url string, look look) *page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // CI runs as root
		chromedp.Flag("disable-dev-shm-usage", true))
	if *chromium != "" {
		options = append(options, chromedp.ExecPath(*chromium))
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx)) // starts the browser, which lives as long as this context
	ctx, cancel = context.WithTimeout(ctx, 2*patience)
	t.Cleanup(cancel)
	motion := "no-preference"
	if look.reducedMotion {
		motion = "reduce"
	}
	p := &page{ctx, url}
	p.do(t,
		chromedp.EmulateViewport(look.width, look.height),
		chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: motion},
			}})
			return err
		}),
		chromedp.Navigate(url),
		chromedp.WaitVisible("#fixed-window"))
	return p
}

func (p *page) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(p.ctx, actions...))
}

// evaluate runs JavaScript; a promise is waited for.
func evaluate[T any](t *testing.T, p *page, script string) T {
	t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return value
}

// await waits until the JavaScript expression is true.
func await(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience))
}

// button is the selector of a button of an instance.
func button(instance int, name string) string {
	return "#instance-" + itoa(instance) + ` [data-do="` + name + `"]`
}

// counts are the counts by outcome, as the page shows them.
func (p *page) counts(t *testing.T, panel string) map[string]int {
	t.Helper()
	return evaluate[map[string]int](t, p, `Object.fromEntries([...document.querySelectorAll('#`+panel+` [data-count]')]
		.map((cell) => [cell.dataset.count, Number(cell.textContent)]))`)
}

// state is what the server says.
type state struct {
	Instances []map[string]int
	Fixed     map[string]int
	Settings  struct{ Max, WindowMS, Cost int }
	Hits      []struct{ Outcome string }
}

func (p *page) state(t *testing.T) (s state) {
	t.Helper()
	resp, err := http.Get(p.url + "/api/state")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

// awaitHits waits until so many requests have reached the server, and the page shows what it says.
func (p *page) awaitHits(t *testing.T, n int) state {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s := p.state(t)
		shown := true
		for i, want := range s.Instances {
			got := p.counts(t, "instance-"+itoa(i))
			for outcome, count := range want {
				shown = shown && got[outcome] == count
			}
		}
		got := p.counts(t, "fixed-window")
		shown = shown && got["allowed"] == s.Fixed["allowed"] && got["refused"] == s.Fixed["refused"]
		if len(s.Hits) == n && shown {
			return s
		}
		require.True(t, time.Now().Before(deadline), "server: %d hits, want %d; %+v; page: %v", len(s.Hits), n, s.Instances, p.counts(t, "instance-0"))
		time.Sleep(50 * time.Millisecond)
	}
}

// choose fills in the form and begins anew.
func (p *page) choose(t *testing.T, limit, window, cost string) {
	t.Helper()
	p.do(t,
		chromedp.SetValue("#max", limit), chromedp.SetValue("#window", window), chromedp.SetValue("#cost", cost),
		chromedp.Click("#apply"),
		await(`document.querySelector('#message').textContent === 'Begun anew.'`))
}

func (p *page) text(t *testing.T, selector string) string {
	t.Helper()
	return strings.TrimSpace(evaluate[string](t, p, `document.querySelector(`+quoted(selector)+`).textContent`))
}

func quoted(text string) string { quoted, _ := json.Marshal(text); return string(quoted) }
