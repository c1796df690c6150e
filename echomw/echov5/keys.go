package echov5

import (
	"github.com/labstack/echo/v5"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
)

// DefaultIPv6Prefix is how many bits of an IPv6 address [KeyByIP] keeps by default.
const DefaultIPv6Prefix = httplimit.DefaultIPv6Prefix

// Keyer names whom, or what, a request is counted against: requests of one key share
// one quota. Key is called once for each request, before the store is asked, and must be
// safe for concurrent use.
//
// A key may hold any bytes. The limiter replaces one of more than 128 bytes by a hash.
// An empty key is a failure that matches [ErrNoKey].
//
// An error refuses the request without counting it: with the status of the error if it
// is or wraps an [echo.HTTPError] of status 400 to 599, a 429 included, otherwise with
// 403, as Echo's own limiter does. So an HTTPError of status 200, or a nil one, opens no
// door.
type Keyer interface {
	Key(c *echo.Context) (string, error)
}

// KeyFunc makes a function a [Keyer], as [net/http.HandlerFunc] makes one a handler:
//
//	Key: echov5.KeyFunc(func(c *echo.Context) (string, error) { return tenant(c) })
//
// KeyFunc(nil) is an error of [Config.ToMiddleware].
type KeyFunc func(c *echo.Context) (string, error)

// Key returns f(c), or an error that matches [ErrNoKey] if f is nil.
func (f KeyFunc) Key(c *echo.Context) (string, error) {
	if f == nil {
		return httplimit.NilKeyFunc()
	}
	return f(c)
}

// KeyByIP counts by the IP address of the client: the one that Echo.IPExtractor gives
// if the application has set it, otherwise that of the TCP peer, and never a header.
// The Security section of the package says what follows from that.
//
// The key is an IPv4 address such as "198.51.100.7", or the first ipv6Prefix bits of an
// IPv6 address, such as "2001:db8:1234:ab00::/56". An address that is missing or is not
// an IP address gives an error that matches [ErrNoKey].
//
// ipv6Prefix is 32 to 64 bits; 0 stands for [DefaultIPv6Prefix] (56). Any other is an
// error of [Config.ToMiddleware].
func KeyByIP(ipv6Prefix int) Keyer { return framework.KeyByIP(ipv6Prefix) }

// KeyByIPHeader counts by the IP address that a header has, such as "CF-Connecting-IP", by
// the rules of [KeyByIP]: all spellings of an IPv4 address are one key, and IPv6 is cut to
// a prefix. [KeyByHeader] would take each spelling, and each address of a network, for
// another client.
//
// A client can send any header. Use it only where all requests come through a proxy that
// sets the header itself, and the server can be reached in no other way.
//
// The header must be there, once, with one address: otherwise the request is refused with
// 400 and an error that matches [ErrNoKey]. A name that is not the name of a header, and an
// ipv6Prefix that KeyByIP does not take, are errors of [Config.ToMiddleware].
func KeyByIPHeader(name string, ipv6Prefix int) Keyer {
	return framework.KeyByIPHeader(name, ipv6Prefix)
}

// KeyByUser counts by the authenticated user, whom user finds on the context, where
// middleware that runs before the limiter has put it (a JWT, a session):
//
//	echov5.KeyByUser(func(c *echo.Context) (string, error) {
//		id, _ := c.Get("user").(string)
//		return id, nil
//	})
//
// An empty user, with no error, is a request without one. It is refused with 403 and an
// error that matches [ErrNoKey]. It is not a 401, which has to tell in WWW-Authenticate how
// to authenticate (RFC 9110, section 15.5.2): only the middleware that authenticates
// knows, and it has let the request through. Count such requests by something else with
// [FirstOf]. An error of user is returned as it is; [Keyer] says what comes of it.
//
// user is called once for each request and must be safe for concurrent use. A nil one is
// an error of [Config.ToMiddleware].
func KeyByUser(user func(c *echo.Context) (string, error)) Keyer { return httplimit.KeyByUser(user) }

// KeyByHeader counts by the value of a request header, such as "X-API-Key". The value
// must be there, once, and not be empty: otherwise the request is refused with 400 and
// an error that matches [ErrNoKey]. It is not taken from the first of several lines,
// because what checks the header afterwards may well take another.
//
// The client chooses the value. Use it for a header that is checked, by a proxy or by
// middleware that runs before the limiter; a client could otherwise have a new quota for
// each request. The value is taken as it is sent: where it is not case-sensitive, as
// addresses of e-mail are not, each spelling is a key. For a header that has an IP address
// take [KeyByIPHeader]. It is stored in Redis in clear,
// and who reads Redis reads it: keep a secret out with [Hashed].
//
// "Host" is the host that the request asks for, in the client's spelling: "A.example"
// and "a.example:80" are two keys.
//
// A name that is not the name of a header (a token of RFC 9110, section 5.6.2) is an
// error of [Config.ToMiddleware].
func KeyByHeader(name string) Keyer { return framework.KeyByHeader(name) }

// KeyByCookie counts by the value of a cookie, such as "session". What [KeyByHeader]
// says of values, refusals and secrets is true of cookies too.
//
// A name that is not the name of a cookie (a token: RFC 6265, section 4.1.1) is an error
// of [Config.ToMiddleware].
func KeyByCookie(name string) Keyer { return framework.KeyByCookie(name) }

// KeyByQuery counts by the value of a parameter of the URL's query: with the name
// "tenant", the key of /orders?tenant=acme is "acme". What [KeyByHeader] says of values,
// refusals and secrets is true of parameters too.
//
// A parameter whose name differs in the case of its letters only is a 400 as well, because
// Echo's Bind would take it.
//
// An empty name is an error of [Config.ToMiddleware].
func KeyByQuery(name string) Keyer { return framework.KeyByQuery(name) }

// KeyByParam counts by the value of a parameter of the route's path: with the name
// "id", the key of /users/7 on the route /users/:id is "7". "*" names what a route ends
// with: "a/b" is the key of /files/a/b on the route /files/*.
//
// What [KeyByHeader] says of values, refusals and secrets is true of parameters too, but
// that a percent-encoded value is decoded: "/users/%37" is "7". A route without the parameter gives no key, so its requests are refused with 400, and
// those to a URL without a route as well. So use it on the routes that have the parameter
// or on a group of them. With Echo.Pre no request has one.
//
// An empty name is an error of [Config.ToMiddleware].
func KeyByParam(name string) Keyer { return framework.KeyByParam(name) }

// KeyByForm counts by the value of a field of a form in the request's body, such as
// "email": an application/x-www-form-urlencoded one of a POST, PUT or PATCH request, or a
// multipart/form-data one. What [KeyByHeader] says of values, refusals and secrets is true
// of fields too.
//
// It reads the body before the limiter has decided, for refused requests as well: put
// Echo's middleware.BodyLimit before the limiter. Handlers find the form parsed, by
// FormValue, FormFile and Bind, but no body to read by themselves, and files that
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
func KeyByForm(name string) Keyer { return framework.KeyByForm(name) }

// KeyByRoute counts by route: the method and the pattern that the route was registered
// with, such as "GET /users/:id", so all URLs of one pattern share one quota. On its
// own it counts all clients together; [Join] it with another Keyer to count each.
//
// Nothing in the key is the client's to make up. A URL without a route has the key
// "GET (no route)", or that of the group that it falls into ("GET /api/*"), and a
// method that HTTP and Echo do not know is written as "OTHER".
//
// Each method is a quota of its own: a client of a route that serves several, as e.Any
// registers, has as many quotas as that. Take [KeyByPattern] there.
//
// Echo knows the route only after routing: with Echo.Pre no request has one. Routes of
// one pattern under several hosts share a key.
func KeyByRoute() Keyer { return framework.KeyByRoute() }

// KeyByPattern counts by the pattern of the route alone, such as "/users/:id", so all methods
// share one quota. Take it where one handler serves several methods (e.Any, a proxy), and
// [KeyByRoute] where reading and writing should have quotas of their own. What
// KeyByRoute says of URLs without a route is true of it too.
func KeyByPattern() Keyer { return framework.KeyByPattern() }

// Join counts by several things at once: Join(KeyByIP(0), KeyByRoute()) gives each
// client a quota of its own on each route, under keys like "198.51.100.7|GET /users/:id".
// In the parts "|" is written as "\|" and "\" as "\\", so different parts never make
// the same key.
//
// The first error of a part is returned as it is, and an empty part is one that
// matches [ErrNoKey]. Without a part, or with one that is nil or wrong itself, Join is an
// error of [Config.ToMiddleware], which counts the parts from 0.
func Join(keys ...Keyer) Keyer { return httplimit.Join(parts(keys)) }

// FirstOf counts by the first of several things that the request has: the user, or else
// the IP address.
//
//	echov5.FirstOf(echov5.KeyByUser(user), echov5.KeyByIP(0))
//
// The key begins with the number of its part, counted from 0, as in "0:alice" and
// "1:198.51.100.7": a user who is named like an address does not share its quota.
//
// A part whose error matches [ErrNoKey], or whose key is empty, is passed over. Any other
// error, such as that of a lookup that failed, is returned as it is. So is that of a value
// which [KeyByHeader] and the like found more than once or could not read, though it matches
// ErrNoKey: a client that sends its key twice is not to be counted as one that has none. If
// no part has a key, the last part's error is returned.
//
// A client chooses which part it is counted by, where it chooses what it sends. With an API
// key that nobody has checked, each made-up one is a new quota: authenticate before the
// limiter.
//
// Without a part, or with one that is nil or wrong itself, FirstOf is an error of
// [Config.ToMiddleware].
func FirstOf(keys ...Keyer) Keyer { return httplimit.FirstOf(parts(keys)) }

func parts(keys []Keyer) []httplimit.Keyer[*echo.Context] {
	parts := make([]httplimit.Keyer[*echo.Context], len(keys))
	for i, key := range keys {
		parts[i] = key
	}
	return parts
}

// Hashed counts by a hash of another Keyer's key, so that API keys and addresses of
// e-mail reach neither the store nor a log in clear:
//
//	echov5.Hashed(secret, echov5.KeyByHeader("X-API-Key"))
//
// The hash is HMAC-SHA-256 (RFC 2104) in base64url without padding (RFC 4648, section 5):
// 43 characters, whatever the length of the key. Without the secret, who reads the
// store cannot even try out which key is meant. Instances that share quotas must have the
// same secret; a new one gives every key a new quota.
//
// secret is 16 bytes or more, best random ones, and is copied. A shorter one, or a key
// that is nil or wrong itself, is an error of [Config.ToMiddleware]. Errors of the Keyer
// are returned as they are, and an empty key is one that matches [ErrNoKey].
//
// It works where only FIPS 140 algorithms may be used (GODEBUG=fips140=only).
func Hashed(secret []byte, key Keyer) Keyer { return httplimit.Hashed[*echo.Context](secret, key) }

// KeyOptions are what the text of [ParseKey] needs besides.
type KeyOptions struct {
	// IPv6Prefix is how many bits of an IPv6 address to keep, for "ip" and "ip:header:": 32 to 64.
	// Optional. Defaults to DefaultIPv6Prefix (56).
	IPv6Prefix int

	// Secret is that of Hashed, for "hashed:": 16 bytes or more. It is copied.
	// Required if a part begins with "hashed:".
	Secret []byte
}

// ParseKey makes a Keyer from its description in a file of settings, such as
// "ip + route" or "hashed:header:X-API-Key":
//
//	key   = part *( "+" part )       several are joined, see Join
//	part  = [ "hashed:" ] what       see Hashed
//	what  = "ip"                     KeyByIP
//	      / "ip:header:" name        KeyByIPHeader
//	      / "route"                  KeyByRoute
//	      / "pattern"                KeyByPattern
//	      / "header:" name           KeyByHeader
//	      / "cookie:" name           KeyByCookie
//	      / "query:" name            KeyByQuery
//	      / "param:" name            KeyByParam
//	      / "form:" name             KeyByForm
//
// White space around a part is ignored, but there is none in a part around ":". The words
// are lower case. A name cannot have a "+", which begins the next part.
//
// One part gives that Keyer itself. On an error there is none: the error has all that is
// wrong with the text and the options, each as a [*ConfigError] joined by [errors.Join].
// Options are checked even if no part needs them; only the Secret may then be empty.
func ParseKey(text string, options KeyOptions) (Keyer, error) {
	return framework.ParseKey(text, httplimit.KeyOptions(options))
}
