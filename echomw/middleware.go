package echomw

import (
	"errors"
	"fmt"
	"log/slog"
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
// setting that is wrong, those of the Keyer included; each matches [ErrInvalidConfig]. The
// middleware asks the limiter once for each request. It may be
// used on several routes, and several limiters may be used on one route: the first to refuse
// ends the request, and what the ones before it counted stays counted.
//
// A request that passes the same middleware twice, on a group and on a route of that
// group, is counted twice, and a warning says so. So it is by two limiters on one store
// whose limits have the same name: give limits names of their own (see Name the limits).
func (config Config) ToMiddleware() (echo.MiddlewareFunc, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	plans, err := newPlans(config.Limiter, config.Headers)
	if err != nil {
		return nil, err
	}
	episodes, err := newEpisodes()
	if err != nil {
		return nil, err
	}
	g := &gate{Config: config, plans: plans, episodes: episodes}
	g.Key = watched(config.Key, &watch{logger: g.logger})
	g.settles = config.SkipFailed || config.SkipSuccessful || config.CountIf != nil
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error { return g.serve(c, next) }
	}, nil
}

// gate is the middleware at work.
type gate struct {
	Config
	plans    *plans
	episodes *episodes
	settles  bool // some requests are given back

	twice, preflight, badMessage, keyless once
	refunds, shadows                      trouble
}

func (g *gate) logger() *slog.Logger {
	if g.Logger != nil {
		return g.Logger
	}
	return slog.Default()
}

func (g *gate) serve(c echo.Context, next echo.HandlerFunc) error {
	if g.Skipper(c) || g.Limiter.Mode() == slidingwindow.ModeOff || g.SkipPreflight && isPreflight(c.Request()) {
		return next(c)
	}
	form := c.Request().MultipartForm
	t, failure := g.decide(c)
	if parsed := c.Request().MultipartForm; parsed != nil && form == nil {
		// net/http removes the files of the request that it made, and this may be a copy.
		defer func() { _ = parsed.RemoveAll() }()
	}
	if failure != nil {
		failure = g.ofClientThatLeft(c, failure)
	}
	shadow := g.Limiter.Mode() == slidingwindow.ModeShadow
	switch {
	case failure != nil && shadow:
		g.warnOfShadow(c, failure)
		return next(c)
	case failure != nil:
		return g.fail(c, failure)
	case t.plan == nil:
		return next(c) // free
	}
	t.tells = (!shadow || g.ShadowHeaders) && t.plan.headers.tells(&t.decision)
	r := note(c, &t)
	if g.twice.due() && r.countedTwice() {
		g.twice.warn(g.logger(), "echomw: a request is counted twice, because it passes a limiter twice, or two on one store with limits of one name", helpTwice)
	}
	if t.decision.RetryAfter > 0 && g.OnFirstRefusal != nil && g.episodes.begins(episodeOf(&t), time.Now(), t.decision.Limit.Window) {
		g.OnFirstRefusal(c, t.decision)
	}
	if !t.decision.Allowed {
		return g.refuse(c, r)
	}
	if t.tells {
		// Before next, whose handlers may read what is told.
		r.told.write(c.Response().Header(), r.turns, 0)
	}
	if g.settles {
		return g.settle(c, next, r)
	}
	return r.serve(c, next)
}

// decide returns the decision, unless it returns a failure; without a plan the request is
// free. The failure is never an untyped nil by mistake: the absence of an error is not a
// decision.
func (g *gate) decide(c echo.Context) (turn, *echo.HTTPError) {
	key, err := g.Key.Key(c)
	if err == nil && key == "" {
		err = fmt.Errorf("%w: the Keyer returned an empty key", ErrNoKey)
	}
	if err != nil {
		return turn{}, failureOf(err, ErrNoKey, g.Status.NoKey)
	}
	cost := int64(1)
	if g.Cost != nil {
		if cost, err = g.Cost(c); err != nil {
			return turn{}, failureOf(fmt.Errorf("Config.Cost: %w", err), ErrUndecided, g.Status.Failed)
		}
		if cost == 0 {
			return turn{}, nil
		}
	}
	plan, err := g.plans.choose(c, g.Limits)
	if err != nil {
		return turn{}, failureOf(err, ErrUndecided, g.Status.Failed)
	}
	ctx, cancel := deciding(c.Request().Context())
	decision, err := plan.limiter.AllowN(ctx, key, cost)
	cancel()
	switch {
	case errors.Is(err, slidingwindow.ErrCostExceedsLimit):
		return turn{}, failureOf(err, ErrUndecided, http.StatusBadRequest)
	case err != nil:
		return turn{}, statusError(g.Status.Failed, fmt.Errorf("%w: %w", ErrUndecided, err))
	}
	return turn{plan: plan, key: key, decision: decision, at: time.Now()}, nil
}

func (g *gate) refuse(c echo.Context, r *record) error {
	if g.preflight.due() && isPreflight(c.Request()) {
		g.preflight.warn(g.logger(), "echomw: a CORS preflight was refused: use the CORS middleware before the limiter, or set SkipPreflight", helpCORS)
	}
	header := c.Response().Header()
	t := r.last()
	retryAfter := setRetryAfter(header, t.decision.RetryAfter)
	r.told.write(header, r.turns, retryAfter)
	forbidStoring(header)
	g.drainAfter(c)
	if g.RefusalHandler != nil {
		if done, err := answered(c, g.RefusalHandler(c, t.decision)); done {
			return err
		}
	}
	return g.refusal(c, t.decision, retryAfter)
}

func (g *gate) fail(c echo.Context, failure *echo.HTTPError) error {
	header := c.Response().Header()
	forbidStoring(header)
	if failure.Code == http.StatusTooManyRequests || failure.Code == http.StatusServiceUnavailable ||
		failure.Code == g.Status.Failed && errors.Is(failure, ErrUndecided) {
		// Some clients retry at once when they are not told to wait.
		retryAfter := setRetryAfter(header, time.Second)
		if r := recordOf(c); r != nil {
			r.told.write(header, r.turns, retryAfter)
		}
	}
	if g.ErrorHandler != nil {
		if done, err := answered(c, g.ErrorHandler(c, failure)); done {
			return err
		}
	}
	return failure
}

// answered tells whether a handler of the Config that returned err has answered the
// request, and what error there is to return. On a nil *echo.HTTPError Echo would panic.
func answered(c echo.Context, err error) (bool, error) {
	if holdsNilHTTPError(err) {
		err = nil
	}
	return err != nil || c.Response().Committed, err
}
