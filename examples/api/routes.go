package main

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/config"
)

// The largest request body in bytes; a login is small.
const maxBody = 16 << 10

func newHandler(cfg *config.Config, store *config.Store, logger *slog.Logger) (http.Handler, error) {
	everything, err := limit("api", cfg, store, logger)
	if err != nil {
		return nil, err
	}
	logins, err := limit("login", cfg, store, logger)
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.IPExtractor = clientIP(cfg.Client) // without one it is the peer, which is the proxy
	e.HTTPErrorHandler = answerError(logger)

	// Outside of the limited group: an orchestrator that probes every second from one
	// address would use up its quota, get a 429, and restart a healthy instance.
	e.GET("/livez", alive)
	e.GET("/readyz", ready(cfg.Redis, store))
	e.GET("/api/health/redis", health(cfg.Redis, store))

	api := e.Group("/api", everything)
	api.GET("/products", products)
	api.GET("/users", users)
	api.POST("/users/login", login, logins) // both limits count a login
	return http.MaxBytesHandler(e, maxBody), nil
}
