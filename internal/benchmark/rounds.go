package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// result is what all rounds of a contestant came to.
type result struct {
	contestant
	perSecond float64       // decisions, median
	rates     []float64     // the same, by round
	p50, p99  time.Duration // of a call, medians
	clientCPU time.Duration // per decision, median
	redisCPU  time.Duration // per decision, median
	sent      float64       // commands that clients sent, per decision, median
	ran       float64       // these and those that scripts called
	errors    int64         // in all rounds

	// Of the round that came closest to what its algorithm may admit, or went past it.
	asked, admitted int64
	exact           float64 // what an exact limiter admits
	may             float64 // what this one may
}

// overran tells that a limiter let more pass than its own algorithm may.
func (r result) overran() bool { return float64(r.admitted) > r.may }

// times is how many times as fast as another one it was: the median of the rounds, in each
// of which the two were measured shortly one after the other.
func (r result) times(other result) float64 {
	ratios := make([]float64, min(len(r.rates), len(other.rates)))
	for i := range ratios {
		ratios[i] = r.rates[i] / other.rates[i]
	}
	return median(ratios)
}

// compare has contestants take turns, in rounds, each round beginning with another one.
func (s *server) compare(ctx context.Context, contestants []contestant, w work, rounds int, while time.Duration) ([]result, error) {
	measured := make([][]measurement, len(contestants))
	shares := make([]sentShare, len(contestants))
	for round := range rounds {
		for turn := range contestants {
			i := (turn + round) % len(contestants)
			m, err := s.measure(ctx, contestants[i], w, while)
			if err == nil && round == 0 {
				shares[i], err = s.share(ctx, contestants[i], w, m)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", contestants[i].name, err)
			}
			measured[i] = append(measured[i], m)
		}
	}
	results := make([]result, len(contestants))
	for i, c := range contestants {
		results[i] = summary(c, w, measured[i], shares[i])
	}
	return results, nil
}

func summary(c contestant, w work, rounds []measurement, share sentShare) result {
	each := func(get func(measurement) float64) float64 {
		values := make([]float64, len(rounds))
		for i, m := range rounds {
			values[i] = get(m)
		}
		return median(values)
	}
	per := func(get func(measurement) time.Duration) time.Duration {
		return time.Duration(each(func(m measurement) float64 { return float64(get(m)) / float64(m.Decisions) }))
	}
	r := result{
		contestant: c,
		perSecond:  each(func(m measurement) float64 { return float64(m.Decisions) / m.Elapsed.Seconds() }),
		p50:        time.Duration(each(func(m measurement) float64 { return float64(m.latency.quantile(0.5)) })),
		p99:        time.Duration(each(func(m measurement) float64 { return float64(m.latency.quantile(0.99)) })),
		clientCPU:  per(func(m measurement) time.Duration { return m.ClientCPU }),
		redisCPU:   per(func(m measurement) time.Duration { return m.redisCPU }),
		sent: each(func(m measurement) float64 {
			sent, _ := share.of(m.commands)
			return sent / float64(m.Decisions)
		}),
		ran: each(func(m measurement) float64 {
			_, ran := share.of(m.commands)
			return ran / float64(m.Decisions)
		}),
	}
	for i, m := range rounds {
		r.rates = append(r.rates, float64(m.Decisions)/m.Elapsed.Seconds())
		r.errors += m.Errors
		exact := math.Min(float64(m.asked), float64(w.Keys)*oncePerWindow(w.Quota, m.while))
		may := math.Min(float64(m.asked), float64(w.Keys)*c.admits(w.Quota, m.while))
		if i == 0 || float64(m.admitted)*r.may > float64(r.admitted)*may {
			r.asked, r.admitted, r.exact, r.may = m.asked, m.admitted, exact, may
		}
	}
	return r
}

// median is the middle value, or the mean of the two; NaN of none.
func median(values []float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
