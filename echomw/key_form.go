package echomw

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
)

// formMemory is how much of a multipart form net/http and Echo keep in memory; the rest
// goes to files.
const formMemory = 32 << 20

// KeyByForm counts by the value of a field of a form in the request's body, such as
// "email": an application/x-www-form-urlencoded one of a POST, PUT or PATCH request, or a
// multipart/form-data one. What [KeyByHeader] says of values, refusals and secrets is true
// of fields too.
//
// It reads the body before the limiter has decided, for refused requests as well: put
// Echo's middleware.BodyLimit before the limiter. Handlers find the form parsed, by
// FormValue, FormParams, FormFile and Bind, but no body to read by themselves, and files that
// were uploaded are removed when the middleware returns; in shadow mode
// that is true of a body that cannot be parsed, too. A body of JSON has no form: the field
// is missing, and [FirstOf] would move on.
//
// A body that cannot be parsed is a 400, also where it exceeds the bounds of net/http (10 MB
// urlencoded, 1000 parts); one that is too large for BodyLimit or [net/http.MaxBytesReader]
// is a 413. A field of this name in the URL's query counts as a
// second value, and is refused even without one in the body, because FormValue and Bind may
// take it instead: a client could otherwise have its guesses for one account counted
// against others. So is a field whose name differs in the case of its letters only.
//
// An empty name is an error of [Config.ToMiddleware].
func KeyByForm(name string) Keyer {
	return namedKey("KeyByForm", inForm, name)
}

func (k requestKey) findInForm(request *http.Request) (value string, count int, err error) {
	if err := parseForm(request); err != nil {
		return "", 0, k.unreadable(err)
	}
	// Form has the values of the body and of the URL's query.
	all := len(request.Form[k.stored])
	value, count = first(request.PostForm[k.stored])
	if hasOtherSpelling(request.Form, k.stored) {
		return "", 0, k.unclear(http.StatusBadRequest, "is there in another spelling", nil)
	}
	if count == 0 && all > 0 {
		return "", 0, k.unclear(http.StatusBadRequest, "is in the URL's query; it belongs in the body", nil)
	}
	return value, max(count, all), nil
}

// parseForm does what FormValue does, and keeps the errors. Those of ParseForm would
// be lost in ParseMultipartForm, which returns ErrNotMultipart instead.
func parseForm(request *http.Request) error {
	if err := request.ParseForm(); err != nil {
		return err
	}
	if err := request.ParseMultipartForm(formMemory); !errors.Is(err, http.ErrNotMultipart) {
		return err
	}
	return nil
}

// unreadable has the status of what refused to read on, as Echo's BodyLimit does.
func (k requestKey) unreadable(cause error) error {
	if holdsNilHTTPError(cause) {
		cause = nil // errors.Is would panic on it
	}
	var tooLarge *http.MaxBytesError
	var refused *echo.HTTPError
	switch {
	case errors.As(cause, &tooLarge):
		return k.unclear(http.StatusRequestEntityTooLarge, "cannot be read: the body is too large", cause)
	case errors.As(cause, &refused) && isFailureStatus(refused.Code):
		return k.unclear(refused.Code, "cannot be read: "+http.StatusText(refused.Code), cause)
	}
	return k.unclear(http.StatusBadRequest, "cannot be read: the body is not a valid form", cause)
}
