package echomw

import (
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/labstack/echo/v4"
)

// Where README says what to do about a warning.
const (
	helpProxy = "https://github.com/seed-e8747a6b/ratelimit#behind-a-proxy"
	helpTwice = "https://github.com/seed-e8747a6b/ratelimit#name-your-limits"
	helpCORS  = "https://github.com/seed-e8747a6b/ratelimit#cors"

	helpRefusals = "https://github.com/seed-e8747a6b/ratelimit#refusals"
)

// once is a warning that is given once.
type once struct{ given atomic.Bool }

func (o *once) warn(logger *slog.Logger, text, help string) {
	if !o.given.Swap(true) {
		logger.Warn(text, "help", help)
	}
}

// due tells, for little, whether the warning may still come.
func (o *once) due() bool { return !o.given.Load() }

// trouble is something that fails for a while: its begin and its end are logged.
type trouble struct{ lasts atomic.Bool }

func (t *trouble) report(logger *slog.Logger, err error, text string) {
	switch {
	case err != nil && !t.lasts.Swap(true):
		logger.Warn(text, "error", err)
	case err == nil && t.lasts.Load() && t.lasts.Swap(false):
		logger.Info(text + ": no longer")
	}
}

// warnOfProxy looks for a proxy in front that Echo was not told about: all its clients
// have one address then.
func (g *gate) warnOfProxy(c echo.Context) {
	if !g.byPeer || !g.proxy.due() || c.Echo().IPExtractor != nil {
		return
	}
	h := c.Request().Header
	if len(h[echo.HeaderXForwardedFor])+len(h["Forwarded"])+len(h["X-Real-Ip"]) > 0 {
		g.proxy.warn(g.logger(), "echomw: a request has been forwarded by a proxy, or pretends so, but Echo.IPExtractor is not set: if there is a proxy, all its clients are counted as one", helpProxy)
	}
}

// isPreflight tells whether the request is a CORS preflight of the Fetch standard.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get(echo.HeaderOrigin) != "" && r.Header.Get(echo.HeaderAccessControlRequestMethod) != ""
}
