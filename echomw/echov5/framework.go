package echov5

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v5"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
)

// framework is how Echo v5 is asked about a request, and answers it.
var framework = &httplimit.Framework[*echo.Context]{
	Request:  (*echo.Context).Request,
	Response: (*echo.Context).Response,
	Writer: func(c *echo.Context) *http.ResponseWriter {
		if response := response(c); response != nil {
			return &response.ResponseWriter
		}
		return nil
	},
	Before: func(c *echo.Context, call func()) {
		if response := response(c); response != nil {
			response.Before(call)
		}
	},
	After: func(c *echo.Context, call func()) {
		if response := response(c); response != nil {
			response.After(call)
		}
	},
	Committed: func(c *echo.Context) bool {
		response := response(c)
		return response != nil && response.Committed
	},
	StatusAfter: ResponseStatus,
	Get:         (*echo.Context).Get,
	Set:         (*echo.Context).Set,
	Path:        (*echo.Context).Path,
	Param:       param,
	Query:       (*echo.Context).QueryParams,
	ClientIP: func(c *echo.Context) (string, bool) {
		extract := c.Echo().IPExtractor
		if extract == nil {
			return "", false
		}
		return extract(c.Request()), true
	},
	HTTPError: func(status int, message any, cause error) error {
		return echo.NewHTTPError(status, fmt.Sprint(message)).Wrap(cause)
	},
	StatusOf: statusOf,
	Refuse: func(r httplimit.Refusal) error {
		return &RefusedError{Decision: r.Decision, refusal: r}
	},
}

// response is Echo's own part of the response. It is nil if middleware has put in a writer that
// does not unwrap to it.
func response(c *echo.Context) *echo.Response {
	response, _ := echo.UnwrapResponse(c.Response())
	return response
}

// param decodes the parameter, so that a client does not get a new key with another spelling: a
// router may hand out what it found in URL.RawPath, where net/http keeps a path that was encoded
// in an uncommon way. Whether it has decoded the value can only be told by looking for it there.
func param(c *echo.Context, name string) (value string, n int, err error) {
	for _, other := range c.PathValues() {
		if other.Name == name {
			n++
		}
	}
	value = c.Param(name)
	if strings.Contains(value, "%") && strings.Contains(c.Request().URL.RawPath, value) {
		value, err = url.PathUnescape(value)
	}
	return value, n, err
}

// statusOf finds the first error that sets a status, which is what Echo's error handlers answer
// with.
func statusOf(err error) (status int, message any, bare bool) {
	var coder echo.HTTPStatusCoder
	if !errors.As(err, &coder) {
		return 0, nil, false
	}
	status = coder.StatusCode()
	message = http.StatusText(status)
	if httpError, ok := coder.(*echo.HTTPError); ok && httpError.Message != "" {
		message = httpError.Message
	}
	_, bare = err.(echo.HTTPStatusCoder) // one that is wrapped is not bare
	return status, message, bare
}

// ResponseStatus returns the HTTP status of the response to c, after a handler that
// returned err: the one that was sent or, if none was yet, the one that Echo's
// HTTPErrorHandlers will make of err. An HTTPErrorHandler of the application may choose
// another. It is [echo.ResolveResponseStatus] for [Config].CountIf.
func ResponseStatus(c *echo.Context, err error) int {
	if sent := response(c); httplimit.HoldsNil(err) && (sent == nil || !sent.Committed) {
		return http.StatusInternalServerError // whoever asked the nil pointer would panic
	}
	_, status := echo.ResolveResponseStatus(c.Response(), err)
	return status
}
