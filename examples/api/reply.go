package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// reply is the body of every response, good or bad.
type reply struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitempty"`
	Data    any    `json:"data,omitempty"`
	Redis   string `json:"redis,omitempty"`
}

// answerError answers with a reply where Echo has another form of JSON, and logs what
// the client is not told.
func answerError(logger *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		status, body := http.StatusInternalServerError, reply{}
		if he := (*echo.HTTPError)(nil); errors.As(err, &he) {
			status = he.Code
			switch message := he.Message.(type) {
			case reply:
				body = message
			case string:
				body.Message = message
			}
		}
		if body.Message == "" {
			body.Message = http.StatusText(status)
		}
		if isFault(err, status) {
			level := slog.LevelError
			if ctx := c.Request().Context(); ctx.Err() != nil && errors.Is(err, context.Canceled) {
				level = slog.LevelDebug // the client went away: nothing is wrong here
			}
			logger.Log(c.Request().Context(), level, "request failed",
				"method", c.Request().Method, "route", c.Path(), "status", status, "error", err)
		}
		if err := c.JSON(status, body); err != nil {
			logger.WarnContext(c.Request().Context(), "response not sent", "error", err)
		}
	}
}

// isFault tells what somebody has to look at. The status alone does not, as those of
// refusals and of an outage are settings.
func isFault(err error, status int) bool {
	if refused := (*echomw.RefusedError)(nil); errors.As(err, &refused) {
		return false
	}
	return status >= http.StatusInternalServerError || errors.Is(err, echomw.ErrUndecided)
}
