// Package echomw limits the requests of an Echo v4 server with a limiter of the
// slidingwindow package, and tells clients about it in HTTP headers.
//
//	e.Use(echomw.RateLimiter(limiter)) // keyed by the address of the peer
//
// Package echomw/echov5, a module of its own, is the same for Echo v5.
//
// # What happens to a request
//
// In this order:
//
//  1. The Skipper may pass the request on, unlimited and without any header; so may
//     SkipPreflight, and a limiter that is off.
//  2. The Keyer names whom to count the request against, Cost or Costs how much it takes, and
//     Limits which limits apply.
//  3. The limiter decides. The deadline of the request's context bounds that, and its
//     cancellation does not: see A client that leaves. From here on [FromContext] has the
//     decision.
//  4. The response gets its headers, in the formats of Config.Headers: by default RateLimit
//     and RateLimit-Policy, in the syntax of draft-ietf-httpapi-ratelimit-headers-11. On
//     a refusal it also gets Retry-After (RFC 9110, section 10.2.3) in whole seconds, 1 or
//     more, and Cache-Control: no-store (RFC 6585, section 4). A longer Retry-After in
//     seconds that is there already is kept; ETag, Expires and Last-Modified are removed.
//     The fields are settled when the header is sent: a proxy behind the limiter, or
//     another limiter, may write to the same ones. Lists join; of the fields with room for
//     one limit the tighter one's stay, and RateLimit is one that parses.
//  5. Allowed: the next handler runs and its error is returned as it is. What the request
//     took may then be given back: see Config.SkipFailed, SkipSuccessful and CountIf.
//     Refused: the next handler does not run, and an [echo.HTTPError] of status 429
//     is returned, which wraps a [RefusedError].
//
// Refusals and failures are returned as errors, so that middleware further out sees
// them and the HTTPErrorHandler of the application writes the response. The default body
// of a refusal is an application/problem+json (RFC 9457); this is the Content-Type only
// where that document is the body, and not where a handler sends a body of its own.
//
// # Trying out, and switching off
//
// [slidingwindow.Limiter.SetMode] makes the limiter refuse nothing: requests are
// counted, but all are passed on, even those that cannot be decided, which the Logger then
// tells of, and no headers are sent unless Config.ShadowHeaders is set. Config.OnFirstRefusal and the
// Reason of the decision tell what would have been refused.
//
// [slidingwindow.Limiter.SetMode] switches it off, and on again, while the server runs.
//
// # Name the limits
//
// The store counts by key and by the name of the limit. Two limiters on one store whose
// limits have the same name therefore share one count for each key, also when the name
// is a default one: two times slidingwindow.PerMinute(100) is "100-per-1m" twice, and a
// request that passes both is counted twice, of which a warning tells. It is also counted twice if it
// passes one middleware twice, on a group and on a route of that group.
//
// So give each limit a Name of its own, such as "api" and "login". Clients see it, and
// the draft wants the names in one RateLimit field to differ.
//
// # Failures
//
// A request that cannot be decided is never passed on, except in shadow mode, and is not
// answered as 429 unless the Keyer returns one. Without a Config.ErrorHandler:
//
//   - No key: Config.Status.NoKey, 403, with an error that matches [ErrNoKey]; 400 or 413 if
//     [KeyByHeader] or one like it does not find its value; the status of the
//     [echo.HTTPError] if the Keyer returned one of status 400 to 599. One of another
//     status, such as 0 or 200, is wrapped in the 403. So is a nil one as text only:
//     errors.Is would panic on it.
//   - A cost above the Max of a limit: 400, because no wait makes it fit.
//   - No decision by the store, or an error of Cost, Costs or Limits: Config.Status.Failed, 503, with
//     the cause wrapped (slidingwindow.ErrStoreUnavailable, [context.DeadlineExceeded], ...).
//   - The Keyer, Cost, Costs, Limits or a Store of your own gave up because the client has left:
//     Config.Status.Left, 499, with the cause wrapped ([context.Canceled]).
//
// Each of these gets Cache-Control: no-store, and loses ETag, Expires and
// Last-Modified, like a refusal. A 503 gets Retry-After: 1 as well, or keeps a longer
// one, because some clients retry at once without it.
//
// The cause is there for logs. Echo's default HTTPErrorHandler does not show it to
// the client, even with Echo.Debug.
//
// A context that a timeout has ended gives [context.DeadlineExceeded]: that may well be a slow
// store.
//
// # A client that leaves
//
// net/http cancels the context of a request when its client has left, but also when it has only
// closed its side, as nc -N does, and waits for the answer: the two look alike. So the store
// is asked with a context that keeps the values and the deadline of the request's, and is
// not cancelled with it. The decision is made, no unit is lost, the store is not taken for
// failing, and the handler runs, with the context as it is. A Store of your own must
// therefore bound its calls itself, as RedisStore does.
//
// With Config.SkipFailed, what was taken for a client that left is given back if the handler
// failed or answered nothing. If it answered, the request counts: the client may have closed
// its side only, and would else get all it wants for free.
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
// believed anybody's headers while no extractor was set, until Echo v4.16.3.
//
// Some proxies write the port too ("198.51.100.7:4711"). To Echo's extractors that is
// no address, and they return the proxy's: one key for all clients. Write an extractor
// of your own then; it may return the address with its port.
//
// Addresses are normalised: IPv4-mapped IPv6 addresses and those of NAT64 become the
// IPv4 address, zones are dropped, and IPv6 addresses are cut to a prefix, because a
// host can use any address of its network. The default is /56, which RIPE-690 has
// homes receive: at /64 a home with a /56 has 256 keys; at /56 up to 256 small
// networks share one. The loopback and link-local addresses of IPv6 fall into one
// prefix each. A peer without an IP address, as on a Unix socket, has no
// key and is refused with 403 until an extractor or another Keyer finds one.
//
// Keys are kept in the store in clear, and long ones as a hash that anybody can compute:
// [Hashed] makes a secret, or personal data, one that only the holder of a secret can.
//
// # Cross-origin requests
//
// Put Echo's CORS middleware before the limiter. Otherwise scripts cannot read a
// refusal, because it lacks Access-Control-Allow-Origin, and preflight requests are
// limited, unless Config.SkipPreflight is set. Scripts read the headers only if
// CORSConfig.ExposeHeaders has "RateLimit", "RateLimit-Policy" and "Retry-After", or
// what Config.Headers has in their place.
//
// All exported functions, and the middleware they return, are safe for concurrent use.
package echomw
