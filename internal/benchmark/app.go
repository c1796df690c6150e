package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

const (
	keyHeader  = "X-Api-Key"
	appSettle  = 100 * time.Millisecond
	noneName   = "floor: no limiter"
	appTimeout = 5 * time.Second
)

// noLimiter is what an app can do at most.
func noLimiter() contestant {
	return contestant{
		name: noneName, algorithm: "none", role: floor, admits: anything,
		open: func(context.Context, place, demand) (decide, func(), error) {
			return func(context.Context, string) (bool, error) { return true, nil }, func() {}, nil
		},
	}
}

// inApps are the scenarios of a whole app: Echo on net/http, behind a limiter.
func inApps(b *bench) []scenario {
	var all []scenario
	for _, connections := range []int{4, 64} {
		w := work{Demand: one(perMinute), Keys: b.keys(), Callers: connections, Settle: appSettle}
		all = append(all, scenario{
			file:  rowName("echo", connections),
			title: fmt.Sprintf("An Echo app: %s keys of 100 a minute, %d connections that are kept alive", thousands(b.keys()), connections),
			note: "Decisions are requests. The app is a process of its own, whose CPU is the client's here; each connection has one request at a time. " +
				"ratelimit is echomw with its headers; of the others a middleware of a few lines asks the limiter, and sends no header.",
			work: w, contestants: append(onRedis(), noLimiter()), rounds: b.someRounds(),
			measuring: func(_ context.Context, b *bench) (measuring, error) {
				return func(ctx context.Context, c contestant, round int) (measurement, error) {
					return b.measureApp(ctx, b.server, c, w, round)
				}, nil
			},
		})
	}
	return all
}

// measureApp measures one round of one app.
func (b *bench) measureApp(ctx context.Context, s *server, c contestant, w work, round int) (m measurement, err error) {
	if err := s.empty(ctx); err != nil {
		return m, err
	}
	began := time.Now()
	app, err := startChild(order{Task: taskApp, Contestant: c.name, Place: s.place, Work: w, CPUProfile: b.cpuProfile}, 0)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, app.end()) }()
	browser := newBrowser(app.addr, w.Callers)
	defer browser.close()
	keys := keyNames("user", w.Keys)
	before := loadFor(ctx, browser.get, keys, w.Callers, w.Settle)
	m, err = s.during(ctx, func() (*tally, error) {
		var start, end time.Duration
		if err := app.ask("cpu", &start); err != nil {
			return nil, err
		}
		t := loadFor(ctx, browser.get, keys, w.Callers, b.cell)
		err := app.ask("cpu", &end)
		t.ClientCPU = end - start
		return t, err
	})
	m.while, m.asked, m.admitted = time.Since(began), m.asked+before.Decisions, m.admitted+before.Admitted
	if err == nil && round == 0 && c.name != noneName {
		m.share, err = s.watch(ctx, func() error {
			loadFor(ctx, browser.get, keys, w.Callers, watchFor)
			return nil
		})
	}
	return m, err
}

// app serves one route behind the contestant.
func (o order) app(ctx context.Context) (job, error) {
	c, err := o.contestant()
	if err != nil {
		return job{}, err
	}
	middleware, closeLimiter, err := limiting(ctx, c, o.Place, o.Work.Demand)
	if err != nil {
		return job{}, err
	}
	e := echo.New()
	e.Use(middleware...)
	e.GET("/orders/:id", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"id": c.Param("id"), "state": "paid"})
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		closeLimiter()
		return job{}, err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: appTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	stopProfile := func() error { return nil }
	profiled := false
	return job{
		addr: listener.Addr().String(),
		answer: func(string) (any, error) { // before and after what is measured
			if !profiled {
				profiled = true
				var err error
				if stopProfile, err = startProfile(o.CPUProfile); err != nil {
					return nil, err
				}
				return cpuTime(), nil
			}
			used := cpuTime()
			err := stopProfile()
			stopProfile = func() error { return nil }
			return used, err
		},
		end: func() error {
			err := server.Close()
			if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
				err = errors.Join(err, ended)
			}
			closeLimiter()
			return errors.Join(err, stopProfile())
		},
	}, nil
}

// limiting is the middleware of a contestant.
func limiting(ctx context.Context, c contestant, at place, d demand) ([]echo.MiddlewareFunc, func(), error) {
	if c.role == own {
		limiter, end, err := openLimiter(at, d, newRedisStore)
		if err != nil {
			return nil, nil, err
		}
		middleware, err := echomw.Config{Limiter: limiter, Key: echomw.KeyByHeader(keyHeader)}.ToMiddleware()
		if err != nil {
			end()
			return nil, nil, err
		}
		return []echo.MiddlewareFunc{middleware}, end, nil
	}
	ask, end, err := c.open(ctx, at, d)
	if err != nil || c.name == noneName {
		return nil, end, err
	}
	return []echo.MiddlewareFunc{func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			allowed, err := ask(c.Request().Context(), c.Request().Header.Get(keyHeader))
			if err != nil {
				return err
			}
			if !allowed {
				return echo.ErrTooManyRequests
			}
			return next(c)
		}
	}}, end, nil
}
