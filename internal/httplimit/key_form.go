package httplimit

import (
	"errors"
	"net/http"
)

// formMemory is how much of a multipart form net/http and Echo keep in memory; the rest
// goes to files.
const formMemory = 32 << 20

// KeyByForm makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByForm(name string) Keyer[C] {
	return f.namedKey("KeyByForm", inForm, name)
}

func (k requestKey[C]) findInForm(request *http.Request) (value string, count int, err error) {
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

// unreadable keeps the status of the error that ended the reading, such as that of Echo's BodyLimit.
func (k requestKey[C]) unreadable(cause error) error {
	if HoldsNil(cause) {
		cause = nil // errors.Is would panic on it
	}
	var tooLarge *http.MaxBytesError
	status := 0
	if cause != nil {
		status, _, _ = k.f.StatusOf(cause)
	}
	switch {
	case errors.As(cause, &tooLarge):
		return k.unclear(http.StatusRequestEntityTooLarge, "cannot be read: the body is too large", cause)
	case isFailureStatus(status):
		return k.unclear(status, "cannot be read: "+http.StatusText(status), cause)
	}
	return k.unclear(http.StatusBadRequest, "cannot be read: the body is not a valid form", cause)
}
