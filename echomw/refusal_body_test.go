package echomw_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// The media type of the problem is that of the response only if the problem is its body.
func TestMediaTypeOfWhatTheHTTPErrorHandlerWrites(t *testing.T) {
	code := func(err error) (int, any) {
		var httpError *echo.HTTPError
		require.ErrorAs(t, err, &httpError)
		return httpError.Code, httpError.Message
	}
	const problem = "application/problem+json"
	for name, test := range map[string]struct {
		handle func(e *echo.Echo, err error, c echo.Context) error
		want   string
	}{
		"Echo's": {func(e *echo.Echo, err error, c echo.Context) error { e.DefaultHTTPErrorHandler(err, c); return nil }, problem},
		"passes it on": {func(_ *echo.Echo, err error, c echo.Context) error {
			status, message := code(err)
			return c.JSON(status, message)
		}, problem},
		"indents it": {func(_ *echo.Echo, err error, c echo.Context) error {
			status, message := code(err)
			return c.JSONPretty(status, message, "  ")
		}, problem},
		"logs it, and passes it on": {func(e *echo.Echo, err error, c echo.Context) error {
			_, message := code(err)
			_, failed := json.Marshal(message)
			e.DefaultHTTPErrorHandler(err, c)
			return failed
		}, problem},
		"a body around it": {func(_ *echo.Echo, err error, c echo.Context) error {
			status, message := code(err)
			return c.JSON(status, echo.Map{"error": message})
		}, echo.MIMEApplicationJSON},
		"its own JSON": {func(_ *echo.Echo, err error, c echo.Context) error {
			status, _ := code(err)
			return c.JSON(status, echo.Map{"success": false})
		}, echo.MIMEApplicationJSON},
		"logs it, and its own JSON": {func(_ *echo.Echo, err error, c echo.Context) error {
			status, message := code(err)
			if _, err := json.Marshal(message); err != nil {
				return err
			}
			return c.JSON(status, echo.Map{"success": false})
		}, echo.MIMEApplicationJSON},
		"HTML": {func(_ *echo.Echo, err error, c echo.Context) error {
			status, _ := code(err)
			return c.HTML(status, "<p>slow down")
		}, echo.MIMETextHTMLCharsetUTF8},
		"logs it, and nothing": {func(_ *echo.Echo, err error, c echo.Context) error {
			status, message := code(err)
			if _, err := json.Marshal(message); err != nil {
				return err
			}
			return c.NoContent(status)
		}, ""},
		"a file": {func(_ *echo.Echo, _ error, c echo.Context) error {
			http.ServeContent(c.Response(), c.Request(), "429.html", time.Time{}, strings.NewReader("<p>slow down"))
			return nil
		}, "text/html; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			preset := func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c echo.Context) error {
					if name != "a file" {
						c.Response().Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
					}
					return next(c)
				}
			}
			for _, outer := range [][]echo.MiddlewareFunc{nil, {middleware.Gzip()}, {preset}} {
				e := newEcho(append(outer, echomw.RateLimiterWithConfig(refusing(t)))...)
				e.HTTPErrorHandler = func(err error, c echo.Context) { assert.NoError(t, test.handle(e, err, c)) }
				server := httptest.NewServer(e)
				res, err := http.Get(server.URL + "/users/1") //nolint:noctx // a test
				require.NoError(t, err)
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				server.Close()
				assert.Equal(t, test.want, res.Header.Get("Content-Type"))
				if name != "a file" { // which is a 200, as it is without a limiter
					assert.Equal(t, 429, res.StatusCode)
				}
				assert.Equal(t, strings.HasSuffix(name, "nothing"), len(body) == 0)
			}
		})
	}
}
