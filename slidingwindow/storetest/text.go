package storetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// textHoldsAll has a Decision of each kind.
func textHoldsAll(t *testing.T, h Harness) {
	of := func(d slidingwindow.Decision, err error) slidingwindow.Decision {
		t.Helper()
		require.NoError(t, err)
		return d
	}
	one, two := h.limiter(t, requests), h.limiter(t, requests, tokens)
	decisions := map[string]slidingwindow.Decision{
		"zero":       {},
		"one limit":  of(one.Allow(t.Context(), "k")),
		"two limits": of(two.AllowN(t.Context(), "k", 2)),
		"refused":    of(two.AllowN(t.Context(), "k", 2)),
		"cost":       of(two.AllowCost(t.Context(), "k", slidingwindow.Cost{"tokens": 60})),
		"at most":    of(two.AllowAtMost(t.Context(), "k 2", 50)),
		"peeked":     of(two.Peek(t.Context(), "k 2")),
		"in line":    of(one.Reserve(t.Context(), "k", 2, forever)),
	}
	one.SetMode(slidingwindow.ModeShadow)
	decisions["shadow"] = of(one.Allow(t.Context(), "k"))
	one.SetMode(slidingwindow.ModeOff)
	decisions["off"] = of(one.Allow(t.Context(), "k"))
	for name, d := range decisions {
		assert.Equal(t, d, naive.ThroughText(t, d), name)
		encoded, err := json.Marshal([]slidingwindow.Decision{d})
		require.NoError(t, err, name)
		var decoded []slidingwindow.Decision
		require.NoError(t, json.Unmarshal(encoded, &decoded), name)
		assert.Equal(t, []slidingwindow.Decision{d}, decoded, name)
	}
}

// settlesFromText takes, and settles and refunds what came as a text.
func settlesFromText(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	first := naive.ThroughText(t, estimate(t, l, "k", slidingwindow.Cost{"requests": 1, "tokens": 60}))
	h.Advance(time.Second)
	second := naive.ThroughText(t, estimate(t, l, "k", slidingwindow.Cost{"requests": 1, "tokens": 20}))
	for range 3 {
		require.NoError(t, l.Settle(t.Context(), "k", first, slidingwindow.Cost{"tokens": 45}))
		assert.Equal(t, []int64{1, 35}, left(t, l, "k"), "once")
	}
	require.NoError(t, l.Refund(t.Context(), "k", naive.ThroughText(t, second)), "a text of a text")
	assert.Equal(t, []int64{2, 55}, left(t, l, "k"))
	require.NoError(t, l.Refund(t.Context(), "k", second))
	assert.Equal(t, []int64{2, 55}, left(t, l, "k"), "once")

	third := naive.ThroughText(t, estimate(t, l, "k", slidingwindow.Cost{"tokens": 30}))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, l.Settle(ended, "k", third, slidingwindow.Cost{"tokens": 1}), "the client has hung up")
	assert.Equal(t, []int64{2, 54}, left(t, l, "k"))

	late := naive.ThroughText(t, estimate(t, l, "late", slidingwindow.Cost{"requests": 3}))
	h.Advance(time.Minute)
	require.NoError(t, l.Settle(t.Context(), "late", late, slidingwindow.Cost{"requests": 9}))
	assert.Equal(t, []int64{3, 100}, left(t, l, "late"), "what has left the window counts nothing")

	line := h.limiter(t, slidingwindow.PerMinute(1))
	take(t, line, "line", 1)
	waiting := naive.ThroughText(t, reserve(t, line, "line", 1, forever))
	assert.Equal(t, time.Minute, waiting.Delay)
	require.NoError(t, line.Refund(t.Context(), "line", waiting))
	assert.Equal(t, time.Minute, place(t, line, "line"), "the place is free again")
}

// foreignDecisions are of another key, another store, or changed.
func foreignDecisions(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	d := estimate(t, l, "k", slidingwindow.Cost{"requests": 1, "tokens": 60})
	estimate(t, l, "other", slidingwindow.Cost{"requests": 1, "tokens": 60})
	elsewhere, unnamed, changed := d, d, d
	elsewhere.Store, unnamed.Store = d.Store+"2", ""
	changed.Granted++
	for name, test := range map[string]struct {
		key  string
		d    slidingwindow.Decision
		err  error
		text string
	}{
		"another key":   {"other", naive.ThroughText(t, d), slidingwindow.ErrInvalidKey, "it is not the key that the units were taken from; allowed: that of the call"},
		"another store": {"k", naive.ThroughText(t, elsewhere), slidingwindow.ErrForeignDecision, d.Store + "2"},
		"no store":      {"k", naive.ThroughText(t, unnamed), slidingwindow.ErrForeignDecision, `Decision.Store is ""; allowed: "` + d.Store},
		"changed":       {"k", changed, slidingwindow.ErrDecisionChanged, "Granted is 2; allowed: the 1 that the call took"},
	} {
		for verb, err := range map[string]error{
			"refund": l.Refund(t.Context(), test.key, test.d),
			"settle": l.Settle(t.Context(), test.key, test.d, slidingwindow.Cost{"tokens": 5}),
		} {
			assert.ErrorIs(t, err, test.err, "%s: %s", name, verb)
			assert.ErrorContains(t, err, test.text, "%s: %s", name, verb)
		}
	}
	_, err := changed.MarshalText()
	assert.ErrorIs(t, err, slidingwindow.ErrDecisionChanged)
	for _, key := range []string{"k", "other"} {
		assert.Equal(t, []int64{2, 40}, left(t, l, key), "nothing was given back or taken")
	}
}
