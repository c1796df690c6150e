package echov5

import (
	"log/slog"

	"github.com/labstack/echo/v5"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// StatusClientLeft is the default of [StatusCodes].Left, and what nginx logs for a client
// that closed its connection before it was answered. No document defines it.
const StatusClientLeft = httplimit.StatusClientLeft

// Config has the settings of the middleware. Only Limiter is required.
type Config struct {
	// Skipper tells which requests to pass on unlimited and without headers. A
	// Skipper of Echo's middleware package can be used as it is.
	// Optional. Defaults to skipping none.
	Skipper func(c *echo.Context) bool

	// SkipPreflight passes CORS preflight requests on as a Skipper would: they are the
	// browser's doing. Not needed where Echo's CORS middleware runs before the limiter,
	// because it answers them; see Cross-origin requests. Do not set it where a route of the
	// application handles OPTIONS itself: anybody can make a request look like a preflight.
	SkipPreflight bool

	// Limiter decides.
	// Required.
	Limiter *slidingwindow.Limiter

	// Key names whom to count a request against: a KeyFunc, or what KeyByIP and the
	// other functions return. What is wrong with their arguments is an error of
	// ToMiddleware.
	// Optional. Defaults to KeyByIP(DefaultIPv6Prefix): the address of the peer.
	Key Keyer

	// Cost is how many units a request takes, such as the number of items that it asks for.
	// With 0 it is passed on unlimited and without headers. One that costs more than a
	// limit's Max could never be allowed: that is a 400. An error, and a cost below 0, is a
	// failure like that of a store; an echo.HTTPError of status 400 to 599 keeps its status.
	// Optional. Defaults to 1 unit of each limit.
	Cost func(c *echo.Context) (int64, error)

	// Costs is Cost with a number of units for each limit, by its name: 1 of "requests" and
	// 1,200 of "tokens". A limit that is not named is not asked for any. All of it is taken, or
	// nothing. An estimate can be replaced by what was used, behind the limiter:
	//
	//	d, _ := echov5.FromContext(c)
	//	key, _ := echov5.KeyFromContext(c)
	//	err := limiter.Settle(ctx, key, d, slidingwindow.Cost{"requests": 1, "tokens": used})
	//
	// At most one of Cost and Costs may be set.
	Costs func(c *echo.Context) (slidingwindow.Cost, error)

	// Limits are the limits of this request, in place of those of Limiter: of the
	// customer's plan, say. They are valid slidingwindow.Limits with names that differ from
	// each other. None stands for those of Limiter; for no limit, use Skipper. An error,
	// and limits that are not valid, are a failure like that of a store; an echo.HTTPError
	// of status 400 to 599 keeps its status. What belongs to 1,000 recent sets of limits
	// is kept, so that it costs little if few recur.
	//
	// Give the limits of all plans one Name, such as "api": a customer who moves to
	// another plan then keeps what was counted.
	// Optional. Defaults to the limits of Limiter.
	Limits func(c *echo.Context) ([]slidingwindow.Limit, error)

	// SkipFailed counts requests that succeed only: one whose response has the status 400 or
	// above, that panics, or whose context ends before anything was answered is given back
	// with slidingwindow.Limiter.Refund. One that breaks off after a status below 400 was
	// sent counts, here and with SkipSuccessful, because the client may have got all it
	// wanted. While a request is served it counts, so many at a time may still reach the
	// limit, and the headers of the response count it too. Who can make requests fail at will
	// is not limited at all. A handler that hijacks the connection must set Committed of the
	// echo.Response, and so must middleware that answers past c.Response(), as a
	// http.TimeoutHandler does: use Echo's ContextTimeout.
	//
	// The refund is one more round trip to the store, which ends before a response that
	// net/http still holds back is sent.
	//
	// At most one of SkipFailed, SkipSuccessful and CountIf may be set.
	SkipFailed bool

	// SkipSuccessful counts requests that fail only: the reverse of SkipFailed. With it, a
	// login limits guesses, and never a user who knows the password. Neither counts a
	// request that a limiter further in refused.
	SkipSuccessful bool

	// CountIf tells after the response whether the request counts; if not, it is given
	// back, as with SkipFailed. err is what the next handler returned, or ErrPanicked
	// if it panicked. ResponseStatus(c, err) is the status of the response:
	//
	//	CountIf: func(c *echo.Context, err error) bool { return echov5.ResponseStatus(c, err) == 401 }
	//
	// Optional. Defaults to counting every request.
	CountIf func(c *echo.Context, err error) bool

	// ShadowHeaders sends the headers of a limiter in shadow mode, too. Clients obey what they
	// are told: one that has nothing left by a limit in shadow mode may well stay away.
	ShadowHeaders bool

	// Headers says in which formats responses tell where the client stands.
	// Optional. Defaults to HeadersDraft11.
	Headers Headers

	// Units says what a limit counts, by its name, where that is not requests: "content-bytes",
	// "concurrent-requests", or a word of your own such as "tokens". RateLimit-Policy tells it in
	// draft-11 ("tokens";q=100000;qu="tokens";w=60); the other formats have no place for it. A
	// unit has 1 to 64 letters, digits, "-", "_" and ".".
	// Optional. Defaults to requests for every limit.
	Units map[string]string

	// Status has the statuses of refusals and failures.
	// Optional. Defaults to 429, 403, 503 and 499.
	Status StatusCodes

	// Message is the body of a refusal: any value that encodes as JSON, except as null, or a
	// MessageFunc that makes one. A slice of bytes is refused, because JSON writes it in
	// base64: make JSON that you have as text a json.RawMessage.
	//
	//	Message: map[string]any{"success": false, "message": "Too many requests, please try again later."}
	//
	// It is in the error that is returned, so what is written is up to Echo's HTTPErrorHandler;
	// the default one sends a string as {"message": "..."}. All refusals share the value, so
	// nothing may change it.
	//
	// Optional. Defaults to an application/problem+json (RFC 9457) of the type
	// quota-exceeded, which is the Content-Type where this document is the body.
	Message any

	// DrainRefused is how many bytes of the body of a refused request are read, for 5 seconds
	// at most, after the refusal was sent: of a body up to that size, or of unknown size. Without it net/http
	// reads 256 KB and closes the connection, and clients that write all of a larger body before they
	// read may not see the refusal. It is for routes that take uploads: each refusal may
	// then cost that much traffic, and a connection for that long. Requests with Expect:
	// 100-continue, those of HTTP/2, and refusals without a body are left alone.
	// Optional. Defaults to 0: none is read.
	DrainRefused int64

	// RefusalHandler answers a refused request in place of the middleware. The headers of
	// the refusal are set already, but not the status. It writes a response, or
	// returns an error for Echo's HTTPErrorHandler. If it does neither, because it
	// only counts or logs, the refusal is sent as if there were no RefusalHandler: an
	// empty 200 is never sent.
	//
	// It must write through c: with c.JSON, c.String and the like, or to c.Response().
	// Echo does not see what goes past that, or to a connection that was hijacked, and the
	// refusal would be written after it: set Committed of the echo.Response then.
	// Optional. Defaults to Status.Refused with Message.
	RefusalHandler func(c *echo.Context, d slidingwindow.Decision) error

	// ErrorHandler is called when a request cannot be decided: the Keyer gave no key
	// or the limiter an error. err is the *echo.HTTPError that would be returned
	// without an ErrorHandler (the package says which) and wraps the cause: it matches
	// ErrNoKey if there is no key, unless the Keyer returned an *echo.HTTPError of
	// its own, of status 400 to 599, and otherwise ErrUndecided. The response has Cache-Control: no-store already,
	// and Retry-After if there was no decision, or if err is a 429.
	//
	// A client that went away is not an outage, and an alert should not take it for one: its
	// err has Status.Left.
	//
	// The handler returns err, or another error, or writes a response. If it does
	// none of these, err is returned all the same. There is no way for it to let
	// the request through: an error that was only logged must not open the door. It is
	// not called in shadow mode, where the request is passed on.
	// Optional. Defaults to returning err.
	ErrorHandler func(c *echo.Context, err error) error

	// OnFirstRefusal is called when a key is refused for the first time in a while, for a
	// log or an alert: not again until a Window of the limit that refused has passed
	// without a refusal of the key by this middleware of this process, or the Reason
	// differs; ReasonRefused and ReasonCached are one. In shadow mode, where d.Reason is slidingwindow.ReasonShadow, it tells what would have been refused. It runs
	// before the response is written, and must be safe for concurrent use. The last 10,000
	// keys that were refused are remembered: in a flood of more it may be called again.
	// Optional.
	OnFirstRefusal func(c *echo.Context, d slidingwindow.Decision)

	// OnNearLimit is called when a key has used NearLimit of a limit's Max for the first time in a
	// while, by a request that the limits allow: for a word to the customer before refusals
	// begin. It is not called again until a Window of that limit has passed without such a request of the
	// key. near is where that limit stands; FromContext has the whole Decision. All else is as with
	// OnFirstRefusal.
	// Optional.
	OnNearLimit func(c *echo.Context, near slidingwindow.Status)

	// NearLimit is the share of Max from which on OnNearLimit is called: more than 0, and at most 1.
	// Optional. Defaults to 0.8.
	NearLimit float64

	// Logger gets a warning when the middleware seems to be used by mistake, once for each
	// kind, and once a minute at most while refunds, or decisions in shadow mode, fail.
	// Optional. nil stands for slog.Default() at the time of the warning.
	Logger *slog.Logger
}

// StatusCodes are the HTTP statuses of the responses to requests that are not passed on:
// each is 400 to 599, and 0 stands for its default.
type StatusCodes struct {
	// Refused is the status of a refusal. Defaults to 429 (RFC 6585, section 4).
	Refused int

	// NoKey is the status if the Keyer gives no key, and no status of its own with
	// its error, as KeyByHeader and the like do with 400. Defaults to 403.
	NoKey int

	// Failed is the status if no decision could be made. Defaults to 503.
	Failed int

	// Left is the status if the Keyer, Cost, Costs, Limits or a Store of your own gave up because
	// the client has left, for logs and metrics: it is not read by anybody. Defaults to 499
	// (StatusClientLeft).
	Left int
}

// MessageFunc makes the body of one refusal, as a [Config].Message that is the same for
// none. What it returns must be what a Message may be; nil stands for the default body,
// and so does what cannot be sent, after a warning in the log. d is the refusal.
type MessageFunc func(c *echo.Context, d slidingwindow.Decision) any

// DefaultConfig has the default settings, to copy and complete with a Limiter. It is
// only a convenience: changing it changes no default.
var DefaultConfig = Config{
	Skipper: func(*echo.Context) bool { return false },
	Key:     KeyByIP(DefaultIPv6Prefix),
	Headers: HeadersDraft11,
	Status:  StatusCodes(httplimit.StatusCodes{}.OrDefault()),
}
