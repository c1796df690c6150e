package httplimit

import (
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// Where the documentation says what to do about a warning.
const (
	helpProxy = "https://github.com/seed-e8747a6b/ratelimit/blob/main/docs/proxies.md"
	helpTwice = "https://github.com/seed-e8747a6b/ratelimit/blob/main/docs/echo.md#name-your-limits"
	helpCORS  = "https://github.com/seed-e8747a6b/ratelimit/blob/main/docs/echo.md#cors"

	helpShadow   = "https://github.com/seed-e8747a6b/ratelimit/blob/main/docs/echo.md#watch-it-try-it-switch-it-off"
	helpRefusals = "https://github.com/seed-e8747a6b/ratelimit/blob/main/docs/echo.md#refusals"
)

// once is a warning that is given once.
type once struct{ given atomic.Bool }

func (o *once) warn(logger *slog.Logger, text, help string) {
	if !o.given.Swap(true) {
		logger.Warn(text, "help", help)
	}
}

// due reports, at little cost, whether the warning may still come.
func (o *once) due() bool { return !o.given.Load() }

// trouble is something that may fail with each request: it is logged once a minute at most.
type trouble struct{ logged atomic.Int64 } // Unix time, s

func (t *trouble) warn(logger *slog.Logger, err error, text string) {
	now, last := time.Now().Unix(), t.logged.Load()
	if now-last >= 60 && t.logged.CompareAndSwap(last, now) {
		logger.Warn(text, "error", err)
	}
}

// warnOfShadow tells of a request that cannot be decided in shadow mode, unless that is the
// client's doing.
func (g *gate[C]) warnOfShadow(c C, failure error) {
	switch {
	case !errors.Is(failure, ErrUndecided):
		g.keyless.warn(g.logger(), "echomw: in shadow mode, a request without a key was passed on, which would have been refused", helpShadow)
	case g.Request(c).Context().Err() == nil:
		g.shadows.warn(g.logger(), failure, "echomw: in shadow mode, requests that cannot be decided are passed on")
	}
}

// isPreflight tells whether the request is a CORS preflight of the Fetch standard.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
