package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const (
	fillCallers = 64
	watchFor    = 20 * time.Millisecond
	maxWatched  = 20 // calls for each key: MONITOR is slow
)

// work is what a contestant is to do, many times over.
type work struct {
	Quota   quota
	Keys    int
	Callers int

	Fill   int           // calls for each key before the measurement, which is not timed
	Settle time.Duration // how long to run unmeasured, after the calls of Fill
}

// measurement is one round of one contestant's work.
type measurement struct {
	tally
	asked    int64 // calls of the quota's keys, measured or before
	admitted int64 // of these
	while    time.Duration
	redisCPU time.Duration
	commands map[string]float64
}

// warmUp has a contestant open its connections and load its scripts, on keys of its own.
func warmUp(ctx context.Context, ask decide, callers int) error {
	t := askInTurn(ctx, ask, keyNames("warm", 10*callers), callers, 10*callers)
	if t.Decisions == 0 {
		return fmt.Errorf("none of %d calls was answered", t.Errors)
	}
	return nil
}

// opened is a contestant at work on a server that was empty.
type opened struct {
	ask  decide
	keys []string
	end  func()
}

// prepare empties the server and brings a contestant to where the work is measured from.
func (s *server) prepare(ctx context.Context, c contestant, w work) (o opened, before *tally, err error) {
	if err := s.empty(ctx); err != nil {
		return opened{}, nil, err
	}
	o.keys = keyNames("user", w.Keys)
	if o.ask, o.end, err = c.open(ctx, s.Addr(), w.Quota); err != nil {
		return opened{}, nil, err
	}
	if err := warmUp(ctx, o.ask, w.Callers); err != nil {
		o.end()
		return opened{}, nil, err
	}
	before = askInTurn(ctx, o.ask, o.keys, fillCallers, w.Fill*w.Keys)
	if w.Settle > 0 {
		before.add(loadFor(ctx, o.ask, o.keys, w.Callers, w.Settle))
	}
	return o, before, nil
}

// measure does the work for a while.
func (s *server) measure(ctx context.Context, c contestant, w work, while time.Duration) (measurement, error) {
	began := time.Now()
	o, before, err := s.prepare(ctx, c, w)
	if err != nil {
		return measurement{}, err
	}
	defer o.end()
	runtime.GC() // what others left is not this contestant's
	if err := s.do(ctx, "CONFIG", "RESETSTAT").Error(); err != nil {
		return measurement{}, err
	}
	start, err := s.use(ctx)
	if err != nil {
		return measurement{}, err
	}
	t := loadFor(ctx, o.ask, o.keys, w.Callers, while)
	end, err := s.use(ctx)
	if err != nil {
		return measurement{}, err
	}
	if t.Decisions == 0 {
		return measurement{}, fmt.Errorf("none of %d calls was answered", t.Errors)
	}
	return measurement{
		tally: *t, while: time.Since(began), redisCPU: end.cpu - start.cpu, commands: end.commands,
		asked: before.Decisions + t.Decisions, admitted: before.Admitted + t.Admitted,
	}, nil
}

// share does as much work for each key again as was measured, for fewer keys, and looks at
// what clients send: what a call sends can depend on whether its key is new.
func (s *server) share(ctx context.Context, c contestant, w work, measured measurement) (sentShare, error) {
	fewer := max(w.Keys/20, min(w.Keys, 64))
	calls := min(int(measured.Decisions)*fewer/w.Keys, maxWatched*fewer)
	w.Keys = fewer
	o, _, err := s.prepare(ctx, c, w)
	if err != nil {
		return nil, err
	}
	defer o.end()
	return s.watch(ctx, func() {
		if w.Settle > 0 {
			loadFor(ctx, o.ask, o.keys, w.Callers, watchFor)
			return
		}
		askInTurn(ctx, o.ask, o.keys, w.Callers, max(calls, w.Callers))
	})
}
