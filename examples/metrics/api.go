package main

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/otelmetrics"
)

// newObserver returns what measures, and its page.
func newObserver() (*otelmetrics.Observer, http.Handler, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, nil, err
	}
	observer, err := otelmetrics.New(otelmetrics.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(exporter))})
	return observer, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), err
}

// newAPI returns an API with three limits.
//
//	GET /products   20 requests in any second
//	GET /broken     the same, but the requests that fail are given back
//	GET /trial      a limit in shadow mode: it refuses nothing
//	GET /report     waits for its turn, 5 in any second
//	GET /metrics    what they measure
func newAPI(store slidingwindow.Store, observer slidingwindow.Observer, metrics http.Handler) http.Handler {
	limiter := func(name string, max int64) *slidingwindow.Limiter {
		return slidingwindow.MustNew(store, slidingwindow.Limit{Name: name, Max: max, Window: time.Second}).WithObserver(observer)
	}
	products, trial, reports := limiter("products", 20), limiter("trial", 5), limiter("reports", 5)
	trial.SetMode(slidingwindow.ModeShadow)

	e := echo.New()
	e.GET("/metrics", echo.WrapHandler(metrics))
	e.GET("/products", answer, echomw.RateLimiter(products))
	e.GET("/broken", fail, echomw.RateLimiterWithConfig(echomw.Config{Limiter: products, SkipFailed: true}))
	e.GET("/trial", answer, echomw.RateLimiter(trial))
	e.GET("/report", func(c echo.Context) error {
		if err := reports.Wait(c.Request().Context(), "all"); err != nil {
			return echo.NewHTTPError(http.StatusServiceUnavailable).SetInternal(err)
		}
		return answer(c)
	})
	return e
}

func answer(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

func fail(echo.Context) error { return echo.ErrInternalServerError }
