package main

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func made(name string, role role, algorithm string, rounds ...figures) result {
	r := result{contestant: contestant{name: name, role: role, algorithm: algorithm}, rounds: rounds, figures: rounds[0]}
	return r
}

func TestTargetsAreAgainstTheBest(t *testing.T) {
	t.Parallel()
	s := &standing{
		own: made("ours", own, "", figures{perSecond: 60, p99: 3}),
		results: []result{
			made("slow", peer, "fixed window", figures{perSecond: 20, p99: 2}),
			made("fast", peer, "GCRA", figures{perSecond: 40, p99: 6}),
			made("script", byHand, "fixed window", figures{perSecond: 10, p99: 1}),
			made("floor", floor, "", figures{perSecond: 100, p99: 1}),
		},
	}
	for _, test := range []struct {
		value func(*standing) (float64, string)
		want  float64
		of    string
	}{
		{against(anyLimiter, perSecond), 1.5, "fast"},
		{against(fixedWindows, perSecond), 3, "slow"},
		{against(anyLimiter, p99), 1.5, "slow"},
		{against(onlyByHand, perSecond), 6, "script"},
	} {
		value, of := test.value(s)
		assert.InDelta(t, test.want, value, 1e-9)
		assert.Equal(t, test.of, of)
	}
	value, _ := against(onlyRueidis, perSecond)(s)
	assert.True(t, math.IsNaN(value), "nobody to compare with")
}

// A target of a row that is not there is never met, and nobody would see it.
func TestTargetsNameRows(t *testing.T) {
	t.Parallel()
	b := &bench{}
	rows := map[string]bool{}
	for _, p := range parts() {
		if p.scenarios != nil {
			for _, s := range p.scenarios(b) {
				assert.False(t, rows[s.file], "%s is of one row", s.file)
				rows[s.file] = true
			}
		}
	}
	for _, target := range targets() {
		for _, row := range target.rows {
			assert.True(t, rows[row], row)
		}
	}
}

func TestTargetTable(t *testing.T) {
	t.Parallel()
	b := &bench{chosen: parts(), memory: map[memoryCase]float64{{oursName, 127}: 23.5}, results: map[string][]result{
		"allowed-c8": {made(oursName, own, "", figures{perSecond: 12}), made("ulule/limiter", peer, "", figures{perSecond: 10})},
	}}
	var out bytes.Buffer
	assert.NoError(t, b.targetTable().csv(&out, nil))
	assert.Contains(t, out.String(), `allowed-c8,"decisions/s, against the best limiter",ulule/limiter,1.2,>= 1.1,yes`)
	assert.Contains(t, out.String(), "memory,bytes for each of 127 hits,,23.5,<= 23,NO")
	assert.Contains(t, out.String(), "-,>= 1.15,not measured")

	b.chosen = b.chosen[:1]
	out.Reset()
	assert.NoError(t, b.targetTable().csv(&out, nil))
	assert.NotContains(t, out.String(), "not measured", "of what was left out on purpose")
}
