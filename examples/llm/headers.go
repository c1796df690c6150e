package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// tellLimits sets the fields of OpenAI's API, three for each limit.
func tellLimits(header http.Header, d *slidingwindow.Decision) {
	for _, s := range d.Statuses() {
		reset := s.ReplenishAfter
		if s.RetryAfter > 0 {
			reset = s.RetryAfter
		}
		header.Set("x-ratelimit-limit-"+s.Limit.Name, strconv.FormatInt(s.Limit.Max, 10))
		header.Set("x-ratelimit-remaining-"+s.Limit.Name, strconv.FormatInt(s.Remaining, 10))
		header.Set("x-ratelimit-reset-"+s.Limit.Name, ceil(reset).String())
	}
}

// ceil rounds up to milliseconds: who comes back then is not too early.
func ceil(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// refuse answers a refused request in the form of OpenAI's API. echomw has set Retry-After and the fields of the draft.
func refuse(c echo.Context, d slidingwindow.Decision) error {
	tellLimits(c.Response().Header(), &d)
	return c.JSON(http.StatusTooManyRequests, echo.Map{"error": echo.Map{
		"message": fmt.Sprintf("Rate limit of %d %s in %v reached. Please try again in %v.", d.Limit.Max, d.Limit.Name, d.Limit.Window, ceil(d.RetryAfter)),
		"type":    d.Limit.Name,
		"code":    "rate_limit_exceeded",
	}})
}
