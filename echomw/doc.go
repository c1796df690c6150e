// Package echomw limits the requests of an Echo v4 server with a limiter of the
// slidingwindow package, and tells clients about it in HTTP headers.
//
//	e.Use(echomw.RateLimiter(limiter)) // keyed by the address of the peer
//
// # What happens to a request
//
// In this order:
//
//  1. The Skipper may pass the request on, unlimited and without any header.
//  2. The KeyFunc names whom to count the request against.
//  3. The limiter decides, with the context of the request.
//  4. The response gets its headers: RateLimit and RateLimit-Policy, in the syntax of
//     draft-ietf-httpapi-ratelimit-headers-11, and on a refusal Retry-After
//     (RFC 9110, section 10.2.3) and Cache-Control: no-store (RFC 6585, section 4).
//  5. Allowed: the next handler runs and its error is returned as it is.
//     Refused: the next handler does not run, and an [echo.HTTPError] of status 429
//     is returned, which wraps a [RefusedError].
//
// Refusals and failures are returned as errors, so that middleware further out sees
// them and the HTTPErrorHandler of the application writes the response.
//
// # Failures
//
// A request that cannot be decided is never passed on and is never answered as 429.
// Without a Config.ErrorHandler:
//
//   - No key: 403, with an error that matches [ErrNoKey]; 400 if [KeyByHeader] does not
//     find its header; the status of the [echo.HTTPError] if the KeyFunc returned one.
//   - No decision by the store, or the client went away while waiting for it: 503,
//     with the cause wrapped (slidingwindow.ErrStoreUnavailable,
//     [context.Canceled], ...).
//
// The cause is there for logs. Echo's default HTTPErrorHandler does not show it to
// the client, even with Echo.Debug.
//
// # Security
//
// A key that the client can choose is a limit that the client can avoid, by a new key
// for each request, and a store that it can fill.
//
// The default key is therefore the address of the TCP peer, and X-Forwarded-For and
// X-Real-IP count for nothing. Behind a proxy every client has the proxy's address:
// tell Echo how to read the header that this proxy writes, by setting
// Echo.IPExtractor to echo.ExtractIPFromXFFHeader or echo.ExtractIPFromRealIPHeader
// with the proxies that are to be trusted. Only then is a header believed, and only
// as far as that extractor does. This package never calls [echo.Context].RealIP, which
// believes anybody's headers while no extractor is set.
//
// Addresses are normalised: IPv4-mapped IPv6 addresses and those of NAT64 become the
// IPv4 address, zones are dropped, and IPv6 addresses are cut to a prefix, because a
// host can use any address of its network. The default is /56, which RIPE-690 has
// homes receive: at /64 a home with a /56 has 256 keys; at /56 up to 256 small
// networks share one. The loopback and link-local addresses of IPv6 fall into one
// prefix each. A peer without an IP address, as on a Unix socket, has no
// key and is refused with 403 until an extractor or another KeyFunc finds one.
//
// Keys are kept in the store in clear: see [KeyByHeader].
//
// # Cross-origin requests
//
// Put Echo's CORS middleware before the limiter. Otherwise scripts cannot read a
// refusal, because it lacks Access-Control-Allow-Origin, and preflight requests are
// limited. Scripts read the headers only if CORSConfig.ExposeHeaders has "RateLimit",
// "RateLimit-Policy" and "Retry-After".
//
// All exported functions, and the middleware they return, are safe for concurrent use.
package echomw
