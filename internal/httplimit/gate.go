package httplimit

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Middleware returns a function that serves one request: it calls next unless the limiter
// refuses, and returns the error that the framework answers. An error names every setting
// that is wrong; each is a [ConfigError].
func (f *Framework[C]) Middleware(config Config[C]) (serve func(c C, next func(C) error) error, err error) {
	config = config.withDefaults(f)
	if err := config.validate(); err != nil {
		return nil, err
	}
	plans, err := newPlans(config.Limiter, config.Headers, config.Units)
	if err != nil {
		return nil, err
	}
	episodes, err := newEpisodes()
	if err != nil {
		return nil, err
	}
	near, err := newEpisodes()
	if err != nil {
		return nil, err
	}
	g := &gate[C]{Framework: f, Config: config, plans: plans, episodes: episodes, near: near}
	g.Key = watched(config.Key, &watch{logger: g.logger})
	g.settles = config.SkipFailed || config.SkipSuccessful || config.CountIf != nil
	return g.serve, nil
}

// gate is the middleware at work.
type gate[C any] struct {
	*Framework[C]
	Config[C]
	plans    *plans
	episodes *episodes
	near     *episodes // of keys that have nearly used up a limit
	settles  bool      // some requests are given back

	twice, preflight, badMessage, keyless once
	refunds, shadows                      trouble
}

func (g *gate[C]) logger() *slog.Logger {
	if g.Logger != nil {
		return g.Logger
	}
	return slog.Default()
}

func (g *gate[C]) serve(c C, next func(C) error) error {
	request := g.Request(c)
	if g.Skipper != nil && g.Skipper(c) || g.SkipPreflight && isPreflight(request) {
		return next(c)
	}
	if g.Limiter.Mode() == slidingwindow.ModeOff {
		g.tellOff(request)
		return next(c)
	}
	form := request.MultipartForm
	r := g.recordOf(c)
	noted := r != nil
	if !noted {
		r = &record{}
	}
	t := r.next()
	failed := g.decide(c, r, t)
	if parsed := g.Request(c).MultipartForm; parsed != nil && form == nil {
		// net/http removes the files of its own request only, and this may be a copy of it.
		defer func() { _ = parsed.RemoveAll() }()
	}
	if failed != nil {
		failed = g.ofClientThatLeft(request.Context(), failed)
	}
	shadow := g.Limiter.Mode() == slidingwindow.ModeShadow
	switch {
	case failed != nil && shadow:
		g.warnOfShadow(c, failed.err)
		return next(c)
	case failed != nil:
		return g.fail(c, failed)
	case t.plan == nil:
		return next(c) // free
	}
	t.tells = (!shadow || g.ShadowHeaders) && t.plan.headers.tells(&t.decision)
	r.add(t)
	if !noted {
		g.Set(c, recordKey, r)
	}
	if g.twice.due() && r.countedTwice() {
		g.twice.warn(g.logger(), "echomw: a request is counted twice, because it passes a limiter twice, or two on one store with limits of one name", helpTwice)
	}
	if t.decision.RetryAfter > 0 && g.OnFirstRefusal != nil && g.episodes.begins(episodeOf(t), time.Now(), t.decision.Limit.Window) {
		g.OnFirstRefusal(c, t.decision)
	}
	if t.decision.RetryAfter == 0 && g.OnNearLimit != nil {
		g.tellNear(c, t)
	}
	if !t.decision.Allowed {
		return g.refuse(c, r)
	}
	if t.tells {
		// Before next: its handlers may read the headers.
		r.told.write(g.Response(c).Header(), r.turns, 0)
	}
	if g.settles {
		return g.settle(c, next, r)
	}
	return serve(g.Framework, c, next, r)
}

// tellOff tells the limiter's observer of a request that passes because the limiter is off. Its cost
// is not known.
func (g *gate[C]) tellOff(request *http.Request) {
	if observer := g.Limiter.Observer(); observer != nil {
		observer.Decided(request.Context(), slidingwindow.Decided{
			Request:  slidingwindow.Request{Limits: g.Limiter.Limits(), Cost: 1},
			Decision: slidingwindow.Decision{Allowed: true, Reason: slidingwindow.ReasonOff},
		})
	}
}

// decide makes the decision of t, or returns a failure. If t has no plan afterwards, the request
// is free.
func (g *gate[C]) decide(c C, r *record, t *turn) *failure {
	key, err := g.Key.Key(c)
	if err == nil && key == "" {
		err = fmt.Errorf("%w: Config.Key returned an empty key", ErrNoKey)
	}
	if err != nil {
		return g.failureOf(err, ErrNoKey, g.Status.NoKey)
	}
	charge, err := g.charge(c)
	if err != nil {
		return g.failureOf(err, ErrUndecided, g.Status.Failed)
	}
	if charge.free() {
		return nil
	}
	plan, err := g.plan(c)
	if err != nil {
		return g.failureOf(err, ErrUndecided, g.Status.Failed)
	}
	ctx, cancel := r.deciding(g.Request(c).Context())
	t.decision, err = charge.take(ctx, plan.limiter, key)
	cancel()
	switch {
	case errors.Is(err, slidingwindow.ErrCostExceedsLimit):
		failed := g.failureOf(err, ErrUndecided, http.StatusBadRequest)
		failed.chosen = true
		return failed
	case err != nil:
		return g.failed(g.Status.Failed, fmt.Errorf("%w: %w", ErrUndecided, err))
	}
	t.plan, t.key, t.at = plan, key, time.Now()
	return nil
}

func (g *gate[C]) plan(c C) (*plan, error) {
	if g.Limits == nil {
		return g.plans.own, nil
	}
	limits, err := g.Limits(c)
	if err != nil {
		return nil, fmt.Errorf("Config.Limits: %w", err)
	}
	return g.plans.choose(limits)
}

func (g *gate[C]) refuse(c C, r *record) error {
	if g.preflight.due() && isPreflight(g.Request(c)) {
		g.preflight.warn(g.logger(), "echomw: a CORS preflight was refused: use the CORS middleware before the limiter, or set SkipPreflight", helpCORS)
	}
	header := g.Response(c).Header()
	t := r.last()
	retryAfter := setRetryAfter(header, t.decision.RetryAfter)
	r.told.write(header, r.turns, retryAfter)
	forbidStoring(header)
	g.drainAfter(c)
	if g.RefusalHandler != nil {
		if done, err := g.answered(c, g.RefusalHandler(c, t.decision)); done {
			return err
		}
	}
	return g.refusal(c, t.decision, retryAfter)
}

func (g *gate[C]) fail(c C, failed *failure) error {
	header := g.Response(c).Header()
	forbidStoring(header)
	if failed.status == http.StatusTooManyRequests || failed.status == http.StatusServiceUnavailable ||
		failed.status == g.Status.Failed && errors.Is(failed.err, ErrUndecided) {
		// Some clients retry at once when they are not told to wait.
		retryAfter := setRetryAfter(header, time.Second)
		if r := g.recordOf(c); r != nil {
			r.told.write(header, r.turns, retryAfter)
		}
	}
	if g.ErrorHandler != nil {
		if done, err := g.answered(c, g.ErrorHandler(c, failed.err)); done {
			return err
		}
	}
	return failed.err
}

// answered reports whether a handler of the Config that returned err has answered the request,
// and returns the error for the framework.
func (g *gate[C]) answered(c C, err error) (bool, error) {
	if HoldsNil(err) {
		err = nil // the framework would panic
	}
	return err != nil || g.Committed(c), err
}
