package main

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

const pingTimeout = time.Second

type product struct {
	ID    int     `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

type user struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func products(c echo.Context) error {
	return c.JSON(http.StatusOK, reply{Success: true, Data: []product{
		{ID: 1, Name: "Laptop", Price: 999.99},
		{ID: 2, Name: "Mouse", Price: 29.99},
	}})
}

func users(c echo.Context) error {
	return c.JSON(http.StatusOK, reply{Success: true, Data: []user{
		{ID: 1, Name: "Ada"},
		{ID: 2, Name: "Grace"},
	}})
}

// login stands for a real one, which would check the password: here anybody may come in.
func login(c echo.Context) error {
	var credentials struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	err := (&echo.DefaultBinder{}).BindBody(c, &credentials)
	if err != nil || credentials.Username == "" || credentials.Password == "" {
		return echo.NewHTTPError(http.StatusBadRequest, "Send a JSON object with username and password, 16 KiB at most.").SetInternal(err)
	}
	return c.JSON(http.StatusOK, reply{Success: true, Message: "Logged in."})
}

// alive tells an orchestrator that this process need not be restarted. It does not ask Redis: to
// restart instances brings no Redis back.
func alive(c echo.Context) error {
	return c.JSON(http.StatusOK, reply{Success: true})
}

// ready tells a load balancer whether to send requests here. With the policies open and fallback
// the instance serves them without Redis, too.
func ready(redis config.Redis, store *config.Store) echo.HandlerFunc {
	switch redis.OnFailure {
	case guard.Open, guard.Fallback:
		return alive
	default:
		return health(redis, store)
	}
}

// health tells a person, or an alert, whether Redis can decide, whatever the policy.
func health(redis config.Redis, store *config.Store) echo.HandlerFunc {
	answer := "PONG"
	if redis.InMemory() {
		answer = "not used: the limits hold within this process only (memory://)"
	}
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), pingTimeout)
		defer cancel()
		if err := store.Ping(ctx); err != nil {
			return echo.NewHTTPError(http.StatusServiceUnavailable, "Redis cannot decide.").SetInternal(err)
		}
		return c.JSON(http.StatusOK, reply{Success: true, Redis: answer})
	}
}
