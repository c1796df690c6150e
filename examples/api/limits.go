package main

import (
	"log/slog"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// limit returns the rate limiter of that name, as the settings want it. All of them share
// a store, where the names of their limits keep their counts apart.
func limit(name string, cfg *config.Config, store slidingwindow.Store, logger *slog.Logger) (echo.MiddlewareFunc, error) {
	settings, err := cfg.Limit(name)
	if err != nil {
		return nil, err
	}
	limiter, err := slidingwindow.New(store, settings.Limit)
	if err != nil {
		return nil, err
	}
	limiter.SetMode(settings.Mode)
	key, err := echomw.ParseKey(settings.By, echomw.KeyOptions{
		IPv6Prefix: cfg.Client.IPv6Prefix,
		Secret:     cfg.Client.KeySecret.Bytes(),
	})
	if err != nil {
		return nil, err
	}
	headers, err := echomw.ParseHeaders(cfg.Response.Headers)
	if err != nil {
		return nil, err
	}
	return echomw.Config{
		Limiter: limiter,
		Key:     key,
		Headers: headers,
		Status: echomw.StatusCodes{
			Refused: cfg.Response.RefusedStatus,
			NoKey:   cfg.Response.NoKeyStatus,
			Failed:  cfg.Response.FailedStatus,
		},
		Message:        reply{Message: "Too many requests, please try again later."},
		OnFirstRefusal: logRefusal(logger),
		Logger:         logger,
	}.ToMiddleware()
}

// logRefusal logs that a client has reached a limit, but not which one: a log is read by
// more people than should know.
func logRefusal(logger *slog.Logger) func(echo.Context, slidingwindow.Decision) {
	return func(c echo.Context, d slidingwindow.Decision) {
		logger.InfoContext(c.Request().Context(), "limit reached",
			"limit", d.Limit.Name, "reason", d.Reason, "retry_after", d.RetryAfter)
	}
}
