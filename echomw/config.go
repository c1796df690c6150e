package echomw

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Config has the settings of the middleware. Only Limiter is required.
type Config struct {
	// Skipper tells which requests to pass on unlimited and without headers. A
	// Skipper of Echo's middleware package can be used as it is.
	// Optional. Defaults to skipping none.
	Skipper func(c echo.Context) bool

	// Limiter decides. Each request takes one unit.
	// Required.
	Limiter *slidingwindow.Limiter

	// KeyFunc names whom to count a request against: a KeyFunc or what KeyByIP,
	// KeyByRoute, KeyByHeader and Join return. What is wrong with their arguments is an
	// error of ToMiddleware.
	// Optional. Defaults to KeyByIP(DefaultIPv6Prefix): the address of the peer.
	KeyFunc Keyer

	// Headers is the set of formats in which responses tell where the client stands.
	// Optional. Defaults to HeadersDraft11.
	Headers Headers

	// Message is the body of a refusal: any value that encodes as JSON, except as null. A
	// slice of bytes is refused too, because JSON writes it in base64: make JSON that
	// you have as text a json.RawMessage.
	//
	//	Message: echo.Map{"success": false, "message": "Too many requests, please try again later."}
	//
	// It is the Message of the echo.HTTPError that is returned, so what is written is up
	// to Echo's HTTPErrorHandler; the default one sends a string as {"message": "..."}. All
	// refusals share the value, so nothing may change it.
	//
	// Optional. Defaults to an application/problem+json (RFC 9457) of the type
	// quota-exceeded. The Content-Type is then set before the HTTPErrorHandler runs: one
	// that sends a body of its own must set its own.
	Message any

	// DenyHandler answers a refused request in place of the middleware. The headers of
	// the refusal are set already, but not the status. It writes a response, or
	// returns an error for Echo's HTTPErrorHandler. If it does neither, because it
	// only counts or logs, the refusal is sent as if there were no DenyHandler: an
	// empty 200 is never sent.
	//
	// It must write through c: with c.JSON, c.String and the like, or to c.Response().
	// Echo does not see what goes to c.Response().Writer, and the refusal would be
	// written after it.
	// Optional. Defaults to a 429 with Message.
	DenyHandler func(c echo.Context, d slidingwindow.Decision) error

	// ErrorHandler is called when a request cannot be decided: the KeyFunc gave no key
	// or the limiter an error. err is the *echo.HTTPError that would be returned
	// without an ErrorHandler (the package says which) and wraps the cause: it matches
	// ErrNoKey if there is no key, unless the KeyFunc returned an *echo.HTTPError of
	// its own, of status 400 to 599. The response has Cache-Control: no-store already,
	// and Retry-After if the status is 503.
	//
	// A client that went away is not an outage, and an alert should not take it for one:
	//
	//	gone := errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil
	//
	// The handler returns err, or another error, or writes a response. If it does
	// none of these, err is returned all the same. There is no way for it to let
	// the request through: an error that was only logged must not open the door.
	// Optional. Defaults to returning err.
	ErrorHandler func(c echo.Context, err error) error
}

// DefaultConfig has the default settings, to copy and complete with a Limiter. It is
// only a convenience: changing it changes no default.
var DefaultConfig = Config{}.withDefaults()

func (config Config) withDefaults() Config {
	if config.Skipper == nil {
		config.Skipper = func(echo.Context) bool { return false }
	}
	if config.KeyFunc == nil {
		config.KeyFunc = KeyByIP(DefaultIPv6Prefix)
	}
	return config
}

// validate reports all faults.
func (config Config) validate() error {
	const allowedLimiter = "allowed: a limiter from slidingwindow.New"
	var errs []error
	switch {
	case config.Limiter == nil:
		errs = append(errs, errors.New("echomw: Config.Limiter is nil; "+allowedLimiter))
	case len(config.Limiter.Limits()) == 0:
		errs = append(errs, errors.New("echomw: Config.Limiter has no limits; "+allowedLimiter))
	}
	for _, fault := range faultsOf(config.KeyFunc) {
		errs = append(errs, fmt.Errorf("echomw: %w", fault))
	}
	errs = append(errs, config.Headers.validate())
	return errors.Join(append(errs, messageFault(config.Message))...)
}

// messageFault reports what would spoil the body of the first refusal.
func messageFault(message any) error {
	if message == nil {
		return nil
	}
	if isBytes(reflect.TypeOf(message)) {
		return fmt.Errorf("echomw: Config.Message is bytes (%T), which JSON encodes in base64; allowed: a string, a json.RawMessage or another value that encodes as JSON", message)
	}
	switch encoded, err := json.Marshal(message); {
	case err != nil:
		return fmt.Errorf("echomw: Config.Message is a %T; allowed: a value that encodes as JSON: %w", message, err)
	case string(encoded) == "null":
		// A nil pointer that is an error would also make Echo's default handler panic.
		return fmt.Errorf("echomw: Config.Message is a %T that holds nothing: JSON encodes it as null; allowed: nil for the default body, or a value that encodes as more than null", message)
	}
	return nil
}

// isBytes tells whether encoding/json writes values of the type, or what they point to,
// in base64.
func isBytes(t reflect.Type) bool {
	if t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return false
	}
	if t.Kind() == reflect.Pointer {
		return isBytes(t.Elem())
	}
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}
