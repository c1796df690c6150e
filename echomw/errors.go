package echomw

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
)

// ErrNoKey means that a [KeyFunc] found nothing to count the request against, or
// failed; in the latter case the cause is wrapped too. The text of this package's own
// KeyFuncs says what is missing and never holds the address or the header's value.
var ErrNoKey = errors.New("echomw: no key for this request")

// keyFailure is the HTTP error for a KeyFunc that gave err instead of a key.
func keyFailure(err error) *echo.HTTPError {
	// Echo's default handler knows an HTTPError by its type only, not when it is
	// wrapped, so that one is unpacked here.
	if plain, ok := err.(*echo.HTTPError); ok { //nolint:errorlint // see above
		return plain
	}
	if !errors.Is(err, ErrNoKey) {
		err = fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	var wrapped *echo.HTTPError
	if errors.As(err, &wrapped) {
		return &echo.HTTPError{Code: wrapped.Code, Message: wrapped.Message, Internal: err}
	}
	return statusError(http.StatusForbidden, err)
}

// storeFailure is the HTTP error for a limiter that made no decision. It is not a
// 429: the client did nothing wrong, and the server did not decide that it had.
func storeFailure(err error) *echo.HTTPError {
	return statusError(http.StatusServiceUnavailable, fmt.Errorf("echomw: no decision on this request: %w", err))
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
