package echomw

import (
	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// RateLimiter returns middleware that limits each client, by IP address as [KeyByIP]
// does. It panics if limiter is nil.
func RateLimiter(limiter *slidingwindow.Limiter) echo.MiddlewareFunc {
	return RateLimiterWithConfig(Config{Limiter: limiter})
}

// RateLimiterWithConfig is [Config.ToMiddleware] that panics with the error, as is
// Echo's habit.
func RateLimiterWithConfig(config Config) echo.MiddlewareFunc {
	middleware, err := config.ToMiddleware()
	if err != nil {
		panic(err)
	}
	return middleware
}

// ToMiddleware returns middleware with these settings, or an error that names every
// setting that is wrong, those of the Keyer included; each matches [ErrInvalidConfig]. The
// middleware asks the limiter once for each request. It may be
// used on several routes, and several limiters may be used on one route: the first to refuse
// ends the request, and what the ones before it counted stays counted.
//
// A request that passes the same middleware twice, on a group and on a route of that
// group, is counted twice, and a warning says so. So it is by two limiters on one store
// whose limits have the same name: give limits names of their own (see Name the limits).
func (config Config) ToMiddleware() (echo.MiddlewareFunc, error) {
	message := config.Message
	if makeMessage, ok := message.(MessageFunc); ok {
		message = httplimit.MessageFunc[echo.Context](makeMessage)
	}
	serve, err := framework.Middleware(httplimit.Config[echo.Context]{
		Skipper:        config.Skipper,
		SkipPreflight:  config.SkipPreflight,
		Limiter:        config.Limiter,
		Key:            config.Key,
		Cost:           config.Cost,
		Costs:          config.Costs,
		Limits:         config.Limits,
		SkipFailed:     config.SkipFailed,
		SkipSuccessful: config.SkipSuccessful,
		CountIf:        config.CountIf,
		Headers:        config.Headers,
		Units:          config.Units,
		ShadowHeaders:  config.ShadowHeaders,
		Status:         httplimit.StatusCodes(config.Status),
		Message:        message,
		DrainRefused:   config.DrainRefused,
		RefusalHandler: config.RefusalHandler,
		ErrorHandler:   config.ErrorHandler,
		OnFirstRefusal: config.OnFirstRefusal,
		OnNearLimit:    config.OnNearLimit,
		NearLimit:      config.NearLimit,
		Logger:         config.Logger,
	})
	if err != nil {
		return nil, err
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error { return serve(c, next) }
	}, nil
}

// FromContext returns the Decision on the request of c, for the handlers behind the
// middleware, for its own handlers and hooks, and for middleware further out after the
// handlers have run: the place to count metrics by Decision.Reason. After several limiters
// it is that of the last one that decided, which is the nearest to the handler. ok is false
// if none did: the request was skipped or free, the limiter is off, or could not decide.
func FromContext(c echo.Context) (d slidingwindow.Decision, ok bool) {
	return framework.FromContext(c)
}

// KeyFromContext returns the key that the Decision of [FromContext] is about, as
// [slidingwindow.Limiter.Settle], Refund and Reset take it: a Reset is of
// the limits of that Limiter, not of others that Config.Limits gave. It is what
// Config.Key made of the request: do not log it if that may hold a secret.
func KeyFromContext(c echo.Context) (key string, ok bool) { return framework.KeyFromContext(c) }
