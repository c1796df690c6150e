package echomw

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
)

// framework is how Echo v4 is asked about a request, and answers it.
var framework = &httplimit.Framework[echo.Context]{
	Request:     echo.Context.Request,
	Response:    func(c echo.Context) http.ResponseWriter { return c.Response() },
	Writer:      func(c echo.Context) *http.ResponseWriter { return &c.Response().Writer },
	Before:      func(c echo.Context, call func()) { c.Response().Before(call) },
	After:       func(c echo.Context, call func()) { c.Response().After(call) },
	Committed:   func(c echo.Context) bool { return c.Response().Committed },
	StatusAfter: ResponseStatus,
	Get:         echo.Context.Get,
	Set:         echo.Context.Set,
	Path:        echo.Context.Path,
	Param:       param,
	Query:       echo.Context.QueryParams,
	ClientIP: func(c echo.Context) (string, bool) {
		extract := c.Echo().IPExtractor
		if extract == nil {
			return "", false
		}
		return extract(c.Request()), true
	},
	HTTPError: func(status int, message any, cause error) error {
		// What a Keyer of ours says is for the client, and an error handler of the application finds
		// it as a string.
		if text, ok := message.(string); ok && cause.Error() != httplimit.ErrNoKey.Error()+": "+text {
			message = publicText(text)
		}
		if _, bare := cause.(*echo.HTTPError); bare { //nolint:errorlint // see answer
			cause = fmt.Errorf("%w", cause)
		}
		return &echo.HTTPError{Code: status, Message: message, Internal: cause}
	},
	StatusOf: statusOf,
	Refuse: func(r httplimit.Refusal) error {
		return &echo.HTTPError{Code: r.Status, Message: r.Message, Internal: &RefusedError{Decision: r.Decision}}
	},
}

// param decodes the parameter, so that a client does not get a new key with another spelling:
// Echo hands out what it found in URL.RawPath, where net/http keeps a path that was encoded in
// an uncommon way.
func param(c echo.Context, name string) (value string, n int, err error) {
	for _, other := range c.ParamNames() {
		if other == name {
			n++
		}
	}
	if c.Request().URL.RawPath == "" {
		return c.Param(name), n, nil
	}
	value, err = url.PathUnescape(c.Param(name))
	return value, n, err
}

// statusOf finds an HTTPError. Echo's default handler knows one by its type only, not when it is
// wrapped, and answers with one right inside of it instead.
func statusOf(err error) (status int, message any, bare bool) {
	var found *echo.HTTPError
	if !errors.As(err, &found) {
		return 0, nil, false
	}
	answered := answer(found).Code
	return found.Code, found.Message, found == err && answered >= 400 && answered <= 599 //nolint:errorlint // as Echo does
}

// answer is the error that Echo's default handler answers with.
func answer(err *echo.HTTPError) *echo.HTTPError {
	if inner, ok := err.Internal.(*echo.HTTPError); ok && inner != nil { //nolint:errorlint // as Echo does
		return inner
	}
	return err
}

// publicText is the message of an HTTP error whose cause is not for the client. With
// Echo.Debug the default handler adds the cause to a message that is a plain string;
// it leaves one alone that encodes itself, and this one encodes as Echo would.
type publicText string

func (t publicText) MarshalJSON() ([]byte, error) {
	return json.Marshal(echo.Map{"message": string(t)})
}

// ResponseStatus returns the HTTP status of the response to c, after a handler that
// returned err: the one that was sent or, if none was yet, the one that Echo's default
// HTTPErrorHandler will make of err, which is 500 for an error that is no [echo.HTTPError]
// itself. An HTTPErrorHandler of the application may choose another; of what is written
// past c.Response(), as after Hijack or Flush, Echo knows nothing. It is for
// [Config].CountIf.
func ResponseStatus(c echo.Context, err error) int {
	if c.Response().Committed || err == nil {
		return cmp.Or(c.Response().Status, http.StatusOK)
	}
	outer, ok := err.(*echo.HTTPError) //nolint:errorlint // as Echo's handler, which sends 500 for one that is wrapped
	if !ok || outer == nil {
		return http.StatusInternalServerError
	}
	return answer(outer).Code
}
