package main

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// figures are what one round came to; times in ns.
type figures struct {
	perSecond float64 // decisions
	p50, p99  float64 // of a call
	clientCPU float64 // per decision
	redisCPU  float64 // per decision
	sent      float64 // commands that clients sent, per decision
	ran       float64 // these and those that scripts called
}

// result is what all rounds of a contestant came to.
type result struct {
	contestant
	figures // medians, each for itself
	rounds  []figures
	errors  int64 // in all rounds

	// Of the round that came closest to what its algorithm may admit, or went past it.
	asked, admitted int64
	exact           float64 // what an exact limiter admits
	may             float64 // what this one may
}

// overran tells that a limiter let more pass than its own algorithm may.
func (r result) overran() bool { return float64(r.admitted) > r.may }

// over is a figure as a multiple of another contestant's: the median of the rounds, in each
// of which the two were measured shortly one after the other.
func (r result) over(other result, get func(figures) float64) float64 {
	ratios := make([]float64, min(len(r.rounds), len(other.rounds)))
	for i := range ratios {
		ratios[i] = get(r.rounds[i]) / get(other.rounds[i])
	}
	return median(ratios)
}

func perSecond(f figures) float64 { return f.perSecond }
func p50(f figures) float64       { return f.p50 }
func p99(f figures) float64       { return f.p99 }
func clientCPU(f figures) float64 { return f.clientCPU }
func redisCPU(f figures) float64  { return f.redisCPU }

// compare has contestants take turns, in rounds, each round beginning with another one.
func compare(ctx context.Context, contestants []contestant, d demand, keys, rounds int, measure measuring) ([]result, error) {
	measured := make([][]measurement, len(contestants))
	for round := range rounds {
		for turn := range contestants {
			i := (turn + round) % len(contestants)
			m, err := measure(ctx, contestants[i], round)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", contestants[i].name, err)
			}
			measured[i] = append(measured[i], m)
		}
	}
	results := make([]result, len(contestants))
	for i, c := range contestants {
		results[i] = summary(c, d, keys, measured[i])
	}
	return results, nil
}

func summary(c contestant, d demand, keys int, rounds []measurement) result {
	var share sentShare
	for _, m := range rounds {
		if m.share != nil {
			share = m.share
		}
	}
	r := result{contestant: c}
	for i, m := range rounds {
		r.rounds = append(r.rounds, m.figures(share))
		r.errors += m.Errors
		exact := math.Min(float64(m.asked), float64(keys)*d.calls(oncePerWindow, m.while))
		may := math.Min(float64(m.asked), float64(keys)*d.calls(c.admits, m.while))
		if i == 0 || float64(m.admitted)*r.may > float64(r.admitted)*may {
			r.asked, r.admitted, r.exact, r.may = m.asked, m.admitted, exact, may
		}
	}
	each := func(get func(figures) float64) float64 {
		values := make([]float64, len(r.rounds))
		for i, f := range r.rounds {
			values[i] = get(f)
		}
		return median(values)
	}
	r.figures = figures{
		each(perSecond), each(p50), each(p99), each(clientCPU), each(redisCPU),
		each(func(f figures) float64 { return f.sent }), each(func(f figures) float64 { return f.ran }),
	}
	return r
}

func (m measurement) figures(share sentShare) figures {
	decisions := float64(m.Decisions)
	sent, ran := share.of(m.commands)
	return figures{
		perSecond: decisions / m.Elapsed.Seconds(),
		p50:       float64(m.latency.quantile(0.5)),
		p99:       float64(m.latency.quantile(0.99)),
		clientCPU: float64(m.ClientCPU) / decisions,
		redisCPU:  float64(m.redisCPU) / decisions,
		sent:      sent / decisions,
		ran:       ran / decisions,
	}
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
