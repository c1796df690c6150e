package httplimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// ErrNoKey means that a Keyer found nothing to count the request against, or failed; in the
// latter case the cause is wrapped too. The text of this package's own Keyers says what is
// missing and never holds the address or the header's value.
var ErrNoKey = errors.New("echomw: no key for this request")

// ErrUndecided means that there is no decision on a request although it has a key: the
// limiter made none, or a function of the Config failed. The cause is wrapped too.
var ErrUndecided = errors.New("echomw: no decision on this request")

// StatusClientLeft is the default of StatusCodes.Left, and what nginx logs for a client that
// closed its connection before it was answered. No document defines it.
const StatusClientLeft = 499

// failure is why a request could not be decided.
type failure struct {
	status int
	err    error // as the framework answers it
	chosen bool  // the status is that of the cause, and not one of StatusCodes
}

// failureOf returns the failure, never nil, for an error of a function of the Config. The failure
// matches mark. An HTTP error in err keeps its status if that is one of a failure. Otherwise the
// status is the given one. err itself is for logs only.
func (f *Framework[C]) failureOf(err, mark error, status int) *failure {
	if HoldsNil(err) {
		// Keep only its text: errors.Is on it would panic.
		err = fmt.Errorf("a nil pointer was returned as an error: %v", err) //nolint:errorlint // see above
		return f.failed(status, fmt.Errorf("%w: %w", mark, err))
	}
	own, message, bare := f.StatusOf(err)
	if bare && isFailureStatus(own) {
		return &failure{status: own, err: err, chosen: true}
	}
	if !errors.Is(err, mark) {
		err = fmt.Errorf("%w: %w", mark, err)
	}
	if isFailureStatus(own) {
		return &failure{status: own, err: f.HTTPError(own, message, err), chosen: true}
	}
	return f.failed(status, err)
}

func (f *Framework[C]) failed(status int, cause error) *failure {
	return &failure{status: status, err: f.HTTPError(status, http.StatusText(status), cause)}
}

// isFailureStatus reports whether a client takes the status for a failure (RFC 9110,
// section 15). net/http panics on one that is no status at all.
func isFailureStatus(status int) bool { return status >= 400 && status <= 599 }

// HoldsNil reports whether err is a nil pointer or wraps one: some functions return a nil pointer
// as their error. errors.Is and errors.As would call its methods.
func HoldsNil(err error) bool {
	if err == nil {
		return false
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return true
	}
	switch err := err.(type) { //nolint:errorlint // this walks the tree itself, see above
	case interface{ Unwrap() error }:
		return HoldsNil(err.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), HoldsNil)
	}
	return false
}

// ofClientThatLeft returns the failure, with a status of its own if a function of the Config
// or the store gave up because the client has left, which ended the request's context.
func (g *gate[C]) ofClientThatLeft(ctx context.Context, failed *failure) *failure {
	if failed.chosen || !errors.Is(failed.err, context.Canceled) || !errors.Is(ctx.Err(), context.Canceled) ||
		errors.Is(failed.err, slidingwindow.ErrStoreUnavailable) {
		return failed
	}
	return &failure{status: g.Status.Left, err: g.HTTPError(g.Status.Left, "Client Closed Request", errors.Unwrap(failed.err))}
}
