package main

import (
	"context"
	"errors"
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
	Demand  demand
	Keys    int
	Callers int

	Fill   int           // calls for each key before the measurement, which is not timed
	Settle time.Duration // how long to run unmeasured, after the calls of Fill
	Zipf   bool          // some keys are asked for much more often than others; else all equally often
	Rate   float64       // calls a second, made when their time has come; 0: as fast as each caller can
}

// run does the work for a while.
func (w work) run(ctx context.Context, ask decide, keys []string, while time.Duration) (*tally, error) {
	if w.Rate > 0 {
		return openLoop(ctx, ask, keys, arrivals(w.Rate, while))
	}
	return loadFor(ctx, ask, keys, w.Callers, while), nil
}

// order is the keys in the order in which callers ask for them, again and again.
func (w work) order() []string {
	keys := keyNames("user", w.Keys)
	if w.Zipf {
		return zipf(keys)
	}
	return keys
}

// measurement is one round of one contestant's work.
type measurement struct {
	tally
	asked    int64 // calls of the quota's keys, measured or before
	admitted int64 // of these
	while    time.Duration
	redisCPU time.Duration
	commands map[string]float64
	share    sentShare // nil if it was not looked for
}

// measuring makes a measurement of a contestant.
type measuring func(ctx context.Context, c contestant, round int) (measurement, error)

// warmUp has a contestant open its connections and load its scripts, on keys of its own.
func warmUp(ctx context.Context, ask decide, callers int) error {
	t := askInTurn(ctx, ask, keyNames("warm", 10*callers), callers, 10*callers)
	if t.Decisions == 0 {
		return fmt.Errorf("none of %d calls was answered", t.Errors)
	}
	return nil
}

// opened is a contestant at work.
type opened struct {
	ask  decide
	keys []string
	end  func()
}

// prepare brings a contestant to where the work is measured from.
func prepare(ctx context.Context, at place, c contestant, w work) (o opened, before *tally, err error) {
	o.keys = w.order()
	if o.ask, o.end, err = c.open(ctx, at, w.Demand); err != nil {
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

// measure does the work for a while, and in the first round looks at what was sent.
func (b *bench) measure(ctx context.Context, s *server, c contestant, w work, while time.Duration, round int) (measurement, error) {
	m, err := b.measureOnce(ctx, s, c, w, while)
	if err == nil && round == 0 && b.cpuProfile == "" {
		m.share, err = s.shareSent(ctx, c, w, m)
	}
	return m, err
}

func (b *bench) measureOnce(ctx context.Context, s *server, c contestant, w work, while time.Duration) (measurement, error) {
	if err := s.empty(ctx); err != nil {
		return measurement{}, err
	}
	began := time.Now()
	o, before, err := prepare(ctx, s.place, c, w)
	if err != nil {
		return measurement{}, err
	}
	defer o.end()
	runtime.GC() // what others left is not this contestant's
	m, err := s.during(ctx, func() (*tally, error) {
		stop, err := startProfile(b.cpuProfile)
		if err != nil {
			return nil, err
		}
		t, err := w.run(ctx, o.ask, o.keys, while)
		return t, errors.Join(err, stop())
	})
	m.while, m.asked, m.admitted = time.Since(began), m.asked+before.Decisions, m.admitted+before.Admitted
	return m, err
}

// during measures what a load does, and what it does to the server.
func (s *server) during(ctx context.Context, load func() (*tally, error)) (measurement, error) {
	if err := s.resetStatistics(ctx); err != nil {
		return measurement{}, err
	}
	start, err := s.use(ctx)
	if err != nil {
		return measurement{}, err
	}
	t, err := load()
	if err != nil {
		return measurement{}, err
	}
	end, err := s.use(ctx)
	if err != nil {
		return measurement{}, err
	}
	if t.Decisions == 0 {
		return measurement{}, fmt.Errorf("none of %d calls was answered", t.Errors)
	}
	return measurement{
		tally: *t, while: t.Elapsed, redisCPU: end.cpu - start.cpu, commands: end.commands,
		asked: t.Decisions, admitted: t.Admitted,
	}, nil
}

// shareSent does as much work for each key again as was measured, for fewer keys, and looks at
// what clients send: what a call sends can depend on whether its key is new.
func (s *server) shareSent(ctx context.Context, c contestant, w work, measured measurement) (share sentShare, err error) {
	fewer := max(w.Keys/20, min(w.Keys, 64))
	calls := min(int(measured.Decisions)*fewer/w.Keys, maxWatched*fewer)
	w.Keys = fewer
	w.Settle = min(w.Settle, watchFor) // the share of a script is known without a full window
	if err := s.empty(ctx); err != nil {
		return nil, err
	}
	o, _, err := prepare(ctx, s.place, c, w)
	if err != nil {
		return nil, err
	}
	defer o.end()
	return s.watch(ctx, func() error {
		if w.Settle > 0 || w.Rate > 0 {
			_, err := w.run(ctx, o.ask, o.keys, watchFor)
			return err
		}
		askInTurn(ctx, o.ask, o.keys, w.Callers, max(calls, w.Callers))
		return nil
	})
}
