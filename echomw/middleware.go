package echomw

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

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
// setting that is wrong, those of the Keyer included. The middleware asks the limiter
// once for each request, with the request's context. It may be used on several routes,
// and several limiters may be used on one route: the first to refuse ends the request,
// and what the ones before it counted stays counted.
//
// A request that passes the same middleware twice, on a group and on a route of that
// group, is counted twice. So it is by two limiters on one store whose limits have the
// same name: give limits names of their own (see Name the limits).
func (config Config) ToMiddleware() (echo.MiddlewareFunc, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	g := &gate{Config: config, writer: newHeaderWriter(config.Headers, config.Limiter.Limits())}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if g.Skipper(c) {
				return next(c)
			}
			return g.serve(c, next)
		}
	}, nil
}

// gate is the middleware at work.
type gate struct {
	Config
	writer headerWriter
}

func (g *gate) serve(c echo.Context, next echo.HandlerFunc) error {
	decision, failure, decided := g.decide(c)
	if !decided {
		return g.fail(c, failure)
	}
	if !decision.Allowed {
		return g.refuse(c, decision)
	}
	// Before next, which may send the header with its first byte.
	g.tell(c, &decision, 0)
	return next(c)
}

// decide returns the decision if there is one. Otherwise decided is false, whatever the
// pointer to the failure is: the absence of an error is not a decision.
func (g *gate) decide(c echo.Context) (decision slidingwindow.Decision, failure *echo.HTTPError, decided bool) {
	key, err := g.KeyFunc.Key(c)
	if err == nil && key == "" {
		err = fmt.Errorf("%w: the KeyFunc returned an empty key", ErrNoKey)
	}
	if err != nil {
		return slidingwindow.Decision{}, keyFailure(err), false
	}
	decision, err = g.Limiter.Allow(c.Request().Context(), key)
	if err != nil {
		return slidingwindow.Decision{}, storeFailure(err), false
	}
	return decision, nil, true
}

func (g *gate) refuse(c echo.Context, decision slidingwindow.Decision) error {
	header := c.Response().Header()
	retryAfter := setRetryAfter(header, decision.RetryAfter)
	g.tell(c, &decision, retryAfter)
	forbidStoring(header)
	if g.DenyHandler != nil {
		if err := g.DenyHandler(c, decision); err != nil || c.Response().Committed {
			return err
		}
	}
	return refusal(header, decision, retryAfter, g.Message)
}

func (g *gate) fail(c echo.Context, failure *echo.HTTPError) error {
	header := c.Response().Header()
	forbidStoring(header)
	if failure.Code == http.StatusServiceUnavailable {
		// Some clients retry at once when they are not told to wait.
		cmp.Or(toldOn(c), new(told)).dropLaterResets(header, setRetryAfter(header, time.Second))
	}
	if g.ErrorHandler != nil {
		if err := g.ErrorHandler(c, failure); err != nil || c.Response().Committed {
			return err
		}
	}
	return failure
}
