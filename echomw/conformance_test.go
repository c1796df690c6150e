package echomw_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/internal/httplimit/adaptertest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestConformance(t *testing.T) { adaptertest.Run(t, build) }

func build(app adaptertest.App) (http.Handler, error) {
	e := echo.New()
	e.IPExtractor = app.Extract
	if app.HandleError != nil {
		e.HTTPErrorHandler = func(err error, c echo.Context) { _ = app.HandleError(exchange(c), err) }
	}
	if app.After != nil {
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				err := next(c)
				app.After(exchange(c), err)
				return err
			}
		})
	}
	for _, limit := range app.Limits {
		config, err := configOf(limit)
		if err != nil {
			return nil, err
		}
		middleware, err := config.ToMiddleware()
		if err != nil {
			return nil, err
		}
		e.Use(middleware)
	}
	handler := func(c echo.Context) error { return app.Handler(exchange(c)) }
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
		e.Add(method, "/users/:id", handler)
		e.Add(method, "/files/*", handler)
	}
	return e, nil
}

func exchange(c echo.Context) adaptertest.Exchange {
	return adaptertest.Exchange{
		Request:   c.Request(),
		Response:  c.Response(),
		JSON:      c.JSON,
		HTTPError: func(status int, text string) error { return echo.NewHTTPError(status, text) },
		Decision:  func() (slidingwindow.Decision, bool) { return echomw.FromContext(c) },
		Key:       func() (string, bool) { return echomw.KeyFromContext(c) },
		Status:    func(err error) int { return echomw.ResponseStatus(c, err) },
	}
}

// lifted is a function of the suite as one of the adapter; nil stays nil.
func lifted[R any](f func(adaptertest.Exchange) R) func(echo.Context) R {
	if f == nil {
		return nil
	}
	return func(c echo.Context) R { return f(exchange(c)) }
}

func lifted2[R any](f func(adaptertest.Exchange) (R, error)) func(echo.Context) (R, error) {
	if f == nil {
		return nil
	}
	return func(c echo.Context) (R, error) { return f(exchange(c)) }
}

func liftedWith[A, R any](f func(adaptertest.Exchange, A) R) func(echo.Context, A) R {
	if f == nil {
		return nil
	}
	return func(c echo.Context, a A) R { return f(exchange(c), a) }
}

func configOf(limit adaptertest.Limit) (echomw.Config, error) {
	config := echomw.Config{
		Skipper:        lifted(limit.Skipper),
		SkipPreflight:  limit.SkipPreflight,
		Limiter:        limit.Limiter,
		Cost:           lifted2(limit.Cost),
		Costs:          lifted2(limit.Costs),
		Limits:         lifted2(limit.Limits),
		SkipFailed:     limit.SkipFailed,
		SkipSuccessful: limit.SkipSuccessful,
		CountIf:        liftedWith(limit.CountIf),
		Headers:        limit.Headers,
		Units:          limit.Units,
		ShadowHeaders:  limit.ShadowHeaders,
		Status:         echomw.StatusCodes(limit.Status),
		Message:        limit.Message,
		DrainRefused:   limit.DrainRefused,
		RefusalHandler: liftedWith(limit.RefusalHandler),
		ErrorHandler:   liftedWith(limit.ErrorHandler),
		Logger:         limit.Logger,
	}
	if limit.OnFirstRefusal != nil {
		config.OnFirstRefusal = func(c echo.Context, d slidingwindow.Decision) { limit.OnFirstRefusal(exchange(c), d) }
	}
	config.NearLimit = limit.NearLimit
	if limit.OnNearLimit != nil {
		config.OnNearLimit = func(c echo.Context, near slidingwindow.Status) { limit.OnNearLimit(exchange(c), near) }
	}
	if makeMessage, ok := limit.Message.(httplimit.MessageFunc[adaptertest.Exchange]); ok {
		config.Message = echomw.MessageFunc(liftedWith(makeMessage))
	}
	if limit.Key != nil {
		config.Key = echomw.KeyFunc(lifted2(limit.Key.Key))
	}
	var keys []echomw.Keyer
	for _, text := range limit.Keys {
		key, err := echomw.ParseKey(text, echomw.KeyOptions{Secret: []byte("0123456789abcdef")})
		if err != nil {
			return config, err
		}
		keys = append(keys, key)
	}
	switch len(keys) {
	case 0:
	case 1:
		config.Key = keys[0]
	default:
		config.Key = echomw.FirstOf(keys...)
	}
	return config, nil
}
