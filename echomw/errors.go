package echomw

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
)

// ErrNoKey means that a [Keyer] found nothing to count the request against, or
// failed; in the latter case the cause is wrapped too. The text of this package's own
// Keyers says what is missing and never holds the address or the header's value.
var ErrNoKey = errors.New("echomw: no key for this request")

// ErrUndecided means that there is no decision on a request although it has a key: the
// limiter made none, or Config.Cost or Config.Limits failed. The cause is wrapped too.
var ErrUndecided = errors.New("echomw: no decision on this request")

// failureOf is the HTTP error, never nil, for an err of a function of the Config. It
// matches mark. An HTTP error in err keeps its status if that is one of a failure;
// otherwise the status is the given one. err itself is for logs only.
func failureOf(err, mark error, status int) *echo.HTTPError {
	if holdsNilHTTPError(err) {
		// Whoever called errors.Is on it would panic: only its text is kept.
		err = fmt.Errorf("a nil *echo.HTTPError was returned as an error: %v", err) //nolint:errorlint // see above
	}
	// Echo's default handler knows an HTTPError by its type only, not when it is
	// wrapped, so that one is unpacked here.
	plain, isPlain := err.(*echo.HTTPError) //nolint:errorlint // see above
	if isPlain && isFailure(plain) {
		return plain
	}
	// The HTTPError made here must not have another one right inside, because Echo's
	// default handler would answer with that.
	if isPlain || !errors.Is(err, mark) {
		err = fmt.Errorf("%w: %w", mark, err)
	}
	var wrapped *echo.HTTPError
	if errors.As(err, &wrapped) && isFailureStatus(wrapped.Code) {
		message := wrapped.Message
		if text, ok := message.(string); ok {
			message = publicText(text)
		}
		return &echo.HTTPError{Code: wrapped.Code, Message: message, Internal: err}
	}
	return statusError(status, err)
}

// isFailure tells whether Echo answers with the status of a failure. Its default handler
// looks at an HTTPError right inside of the outer one instead.
func isFailure(err *echo.HTTPError) bool {
	inner, ok := err.Internal.(*echo.HTTPError) //nolint:errorlint // as Echo does
	return isFailureStatus(err.Code) && (!ok || isFailureStatus(inner.Code))
}

// isFailureStatus tells whether a client takes the status for a failure (RFC 9110,
// section 15). net/http panics on one that is no status at all.
func isFailureStatus(status int) bool { return status >= 400 && status <= 599 }

// holdsNilHTTPError tells whether err is a nil *echo.HTTPError or wraps one, which is
// what comes of a nil pointer that is returned as an error.
func holdsNilHTTPError(err error) bool {
	switch err := err.(type) { //nolint:errorlint // this walks the tree itself: errors.Is and errors.As call Unwrap on the nil pointer
	case nil:
		return false
	case *echo.HTTPError:
		return err == nil || holdsNilHTTPError(err.Internal)
	case interface{ Unwrap() error }:
		return holdsNilHTTPError(err.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), holdsNilHTTPError)
	}
	return false
}

func statusError(status int, cause error) *echo.HTTPError {
	return &echo.HTTPError{Code: status, Message: publicText(http.StatusText(status)), Internal: cause}
}

// publicText is the message of an HTTP error whose cause is not for the client. With
// Echo.Debug the default handler adds the cause to a message that is a plain string;
// it leaves one alone that encodes itself, and this one encodes as Echo would.
type publicText string

func (t publicText) MarshalJSON() ([]byte, error) {
	return json.Marshal(echo.Map{"message": string(t)})
}
