package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// key is that of all requests: there is one client, the visitor.
const key = "visitor"

// instance is one of the servers that the page shows: an Echo application behind echomw.
type instance struct {
	number  int
	limiter *slidingwindow.Limiter
	board   *board
	app     *echo.Echo
}

func newInstance(number int, store slidingwindow.Store, board *board, logger *slog.Logger) (*instance, error) {
	limiter, err := slidingwindow.New(store, board.current().limit())
	if err != nil {
		return nil, err
	}
	i := &instance{number: number, limiter: limiter, board: board, app: echo.New()}
	limited, err := echomw.Config{
		Limiter: limiter,
		Limits: func(echo.Context) ([]slidingwindow.Limit, error) {
			return []slidingwindow.Limit{board.current().limit()}, nil
		},
		Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return key, nil }),
		Cost:    func(echo.Context) (int64, error) { return board.current().Cost, nil },
		Headers: echomw.HeadersDraft11 | echomw.HeadersLegacy,
		Logger:  logger,
		RefusalHandler: func(_ echo.Context, d slidingwindow.Decision) error {
			i.record(refused, d)
			return nil // the middleware answers
		},
		ErrorHandler: func(_ echo.Context, err error) error {
			i.record(failed, slidingwindow.Decision{})
			return err
		},
	}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	i.app.POST("/*", func(c echo.Context) error {
		d, _ := echomw.FromContext(c)
		i.record(allowed, d)
		return c.NoContent(http.StatusNoContent)
	}, limited)
	return i, nil
}

// record puts a request on the board. The fixed window is asked the same, unless it is for a place in line,
// which it does not know.
func (i *instance) record(outcome string, d slidingwindow.Decision) {
	i.board.record(i.hitOf(outcome, d), outcome != failed)
}

func (i *instance) hitOf(outcome string, d slidingwindow.Decision) hit {
	return hit{
		Instance: i.number, Outcome: outcome, Cost: i.board.current().Cost, Remaining: d.Remaining,
		DelayMS: d.Delay.Milliseconds(), RetryAfterMS: milliseconds(d.RetryAfter),
	}
}

// reserve asks for a place in line, at most a Window ahead.
func (i *instance) reserve(ctx context.Context) (hit, error) {
	s := i.board.current()
	limiter, err := i.limiter.WithLimits(s.limit())
	if err != nil {
		return hit{}, err
	}
	d, err := limiter.Reserve(ctx, key, s.Cost, s.window())
	outcome := allowed
	switch {
	case err != nil:
		outcome = failed
	case !d.Allowed:
		outcome = refused
	case d.Delay > 0:
		outcome = waiting
	}
	h := i.hitOf(outcome, d)
	i.board.record(h, false)
	return h, err
}

// reset forgets the log.
func (i *instance) reset(ctx context.Context, s settings) error {
	limiter, err := i.limiter.WithLimits(s.limit())
	if err != nil {
		return err
	}
	return limiter.Reset(ctx, key)
}

// milliseconds rounds up: a retry must not come too early.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
