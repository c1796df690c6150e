// Package echov5 limits the requests of an Echo v5 server with a limiter of the slidingwindow
// package, and tells clients about it in HTTP headers.
//
//	e.Use(echov5.RateLimiter(limiter)) // keyed by the address of the peer
//
// It is package echomw for Echo v5: the same names, settings, headers, keys and warnings, over
// the same code. What the documentation of echomw says of all of these is true here. What
// differs is Echo's:
//
//   - A refusal is a [RefusedError], an error with a status of its own, and not wrapped in an
//     echo.HTTPError. Its default body is an application/problem+json, by Echo's default
//     HTTPErrorHandler and by echo.ProblemDetailsHTTPErrorHandler.
//   - A failure is an echo.HTTPError that wraps the cause. Its text is shown to clients if the
//     application has made Echo's handler with exposeError, and not otherwise.
//   - An error of a Keyer, Cost, Costs or Limits keeps its status if it is or wraps an
//     echo.HTTPStatusCoder of status 400 to 599, such as echo.ErrUnauthorized.
//   - Middleware that sets a writer with SetResponse gives it an Unwrap method, as Echo asks for.
//     Without one, the limiter cannot settle its fields with those of a proxy behind it.
//
// # From Echo's own RateLimiter
//
// middleware.RateLimiter counts in the memory of one process, by a token bucket. Here the counts
// are in Redis, or in memory.New(), and no window of the limit's length ever has more than Max.
//
//	e.Use(middleware.RateLimiter(middleware.NewRateLimiterMemoryStore(20)))
//
//	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerSecond(20))
//	e.Use(echov5.RateLimiter(limiter))
//
// Of RateLimiterConfig, Skipper and ErrorHandler keep their names; an ErrorHandler is called for
// failures of the store too. IdentifierExtractor is Key: wrap the function in a [KeyFunc]; the
// default is the peer's address and not RealIP. DenyHandler is RefusalHandler and gets the
// Decision. BeforeFunc is a middleware of its own, before this one. A RateLimiterStore or
// RateLimiterStoreContext of your own becomes a slidingwindow.Store; Retry-After and the other
// headers, which AllowContext had to set, are the middleware's work.
//
// All exported functions, and the middleware they return, are safe for concurrent use.
package echov5
