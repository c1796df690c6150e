package httplimit

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A quarter past a full second of the clock.
var testNow = time.Date(2026, 1, 2, 3, 4, 5, 250e6, time.UTC)

const testUnix = 1767323045 // testNow, cut to a second

// manyFormats are all that go together with draft-11.
const manyFormats = allFormats &^ HeadersDraft7

// written is what one limiter writes to a response of its own.
func written(set Headers, d slidingwindow.Decision, retryAfter int64, limits ...slidingwindow.Limit) http.Header {
	var r responseOfTest
	r.write(newHeaderWriter(set, limits, nil), d, retryAfter)
	return r.header
}

// responseOfTest is a response that limiters write to, one after another.
type responseOfTest struct {
	header http.Header
	turns  []turn
	told   told
}

func (r *responseOfTest) write(w headerWriter, d slidingwindow.Decision, retryAfter int64) {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.turns = append(r.turns, turn{plan: &plan{headers: w}, decision: d, at: testNow, tells: w.tells(&d)})
	r.told.write(r.header, r.turns, retryAfter)
}

// sent spells field names in the form that net/http keeps them in.
func sent(fields map[string]string) http.Header {
	h := http.Header{}
	for field, value := range fields {
		h.Set(field, value)
	}
	return h
}

func TestEveryCombinationOfFormats(t *testing.T) {
	limit := slidingwindow.Limit{Name: "api", Max: 100, Window: 15 * time.Minute}
	allowed := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: limit, Remaining: 37, ReplenishAfter: 412500 * time.Millisecond})

	draft6 := map[string]string{"RateLimit-Limit": "100", "RateLimit-Remaining": "37", "RateLimit-Reset": "413"}
	// 5.250 + 412.500 is 417.750: the epoch is rounded up once, and not the wait before.
	legacy := map[string]string{"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "37", "X-RateLimit-Reset": "1767323458"}
	lists := map[string]string{"RateLimit-Policy": `"api";q=100;w=900`, "RateLimit": `"api";r=37;t=413`}
	policy := map[string]string{"RateLimit-Policy": "100;w=900"}
	dictionary := map[string]string{"RateLimit-Policy": "100;w=900", "RateLimit": "limit=100, remaining=37, reset=413"}

	for set, want := range map[Headers][]map[string]string{
		0:                              {lists},
		HeadersDraft11:                 {lists},
		HeadersDraft7:                  {dictionary},
		HeadersDraft6:                  {policy, draft6},
		HeadersDraft11 | HeadersDraft6: {lists, draft6},
		HeadersDraft7 | HeadersDraft6:  {dictionary, draft6},
		HeadersLegacy:                  {legacy},
		HeadersDraft11 | HeadersLegacy: {lists, legacy},
		HeadersDraft7 | HeadersLegacy:  {dictionary, legacy},
		HeadersDraft6 | HeadersLegacy:  {policy, draft6, legacy},
		allFormats &^ HeadersDraft7:    {lists, draft6, legacy},
		allFormats &^ HeadersDraft11:   {dictionary, draft6, legacy},
		HeadersNone:                    {},
	} {
		t.Run(set.String(), func(t *testing.T) {
			fields := map[string]string{}
			for _, some := range want {
				maps.Copy(fields, some)
			}
			assert.Equal(t, sent(fields), written(set, allowed, 0, limit))
		})
	}
}

// What express-rate-limit 8.7.5 sends for the first request of 2 in 15 minutes, where no
// name is in it.
func TestFieldsAreThoseOfExpressRateLimit(t *testing.T) {
	limit := slidingwindow.Limit{Name: "2-in-15min", Max: 2, Window: 15 * time.Minute}
	first := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: limit, Remaining: 1, ReplenishAfter: 15 * time.Minute})
	refused := slidingwindow.NewDecision(0, slidingwindow.Status{Limit: limit, RetryAfter: 15 * time.Minute, ReplenishAfter: 15 * time.Minute})

	assert.Equal(t, sent(map[string]string{
		"RateLimit-Policy": "2;w=900", "RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "900",
	}), written(HeadersDraft6, first, 0, limit))
	assert.Equal(t, sent(map[string]string{
		"RateLimit-Policy": "2;w=900", "RateLimit": "limit=2, remaining=1, reset=900",
	}), written(HeadersDraft7, first, 0, limit))
	assert.Equal(t, sent(map[string]string{
		"RateLimit-Policy": "2;w=900", "RateLimit-Limit": "2", "RateLimit-Remaining": "0", "RateLimit-Reset": "900",
	}), written(HeadersDraft6, refused, 900, limit))
	assert.Equal(t, sent(map[string]string{
		"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "1767323946",
	}), written(HeadersLegacy, first, 0, limit))

	// Draft-8 agrees for a parser, except for its spaces and the key's hash (pk).
	ours := written(HeadersDraft11, first, 0, limit)
	for field, theirs := range map[string]string{
		"RateLimit":        `"2-in-15min"; r=1; t=900`,
		"RateLimit-Policy": `"2-in-15min"; q=2; w=900`,
	} {
		parsed, err := httpsfv.UnmarshalList([]string{theirs})
		require.NoError(t, err)
		canonical, err := httpsfv.Marshal(parsed)
		require.NoError(t, err)
		assert.Equal(t, canonical, ours.Get(field))
	}
}

func TestSeveralLimitsInEveryFormat(t *testing.T) {
	d := slidingwindow.NewDecision(1,
		slidingwindow.Status{Limit: burst, Remaining: 9, ReplenishAfter: time.Second},
		slidingwindow.Status{Limit: daily, Remaining: 7, ReplenishAfter: time.Hour})
	assert.Equal(t, sent(map[string]string{
		"RateLimit-Policy":      `"burst";q=10;w=1, "daily";q=1000;w=86400`,
		"RateLimit":             `"burst";r=9;t=1, "daily";r=7;t=3600`,
		"RateLimit-Limit":       "1000",
		"RateLimit-Remaining":   "7",
		"RateLimit-Reset":       "3600",
		"X-RateLimit-Limit":     "1000",
		"X-RateLimit-Remaining": "7",
		"X-RateLimit-Reset":     "1767326646",
	}), written(manyFormats, d, 0, burst, daily))
	assert.Equal(t, sent(map[string]string{
		"RateLimit-Policy": "10;w=1, 1000;w=86400",
		"RateLimit":        "limit=1000, remaining=7, reset=3600",
	}), written(HeadersDraft7, d, 0, burst, daily))

	// Refused by the one that has more left.
	d = slidingwindow.NewDecision(0,
		slidingwindow.Status{Limit: burst, Remaining: 2, RetryAfter: time.Second, ReplenishAfter: time.Millisecond},
		slidingwindow.Status{Limit: daily, Remaining: 1, ReplenishAfter: time.Hour})
	h := written(manyFormats, d, 1, burst, daily)
	assert.Equal(t, `"burst";r=2;t=1, "daily";r=1`, h.Get("RateLimit"))
	assert.Equal(t, "10", h.Get("RateLimit-Limit"))
	assert.Equal(t, "2", h.Get("X-RateLimit-Remaining"))
}

func TestExtremeNumbersInEveryFormat(t *testing.T) {
	closed := slidingwindow.Limit{Name: "closed", Max: 0, Window: time.Millisecond}
	most := slidingwindow.Limit{Name: "most", Max: maxInteger, Window: 10 * 365 * 24 * time.Hour}
	for name, test := range map[string]struct {
		status                         slidingwindow.Status
		retryAfter                     int64
		policy                         string
		limit, remaining, reset, epoch string
	}{
		"a closed limit of a millisecond": {
			slidingwindow.Status{Limit: closed, RetryAfter: time.Millisecond}, 1,
			"0;w=1", "0", "0", "1", "1767323046",
		},
		"the largest limit": {
			slidingwindow.Status{Limit: most, Remaining: maxInteger, ReplenishAfter: most.Window}, 0,
			"999999999999999;w=315360000", "999999999999999", "999999999999999", "315360000", "2082683046",
		},
		"more than an Integer": {
			slidingwindow.Status{Limit: slidingwindow.Limit{Name: "x", Max: 1<<63 - 1, Window: time.Second}, Remaining: 1<<63 - 1, ReplenishAfter: 1<<63 - 1}, 0,
			"999999999999999;w=1", "999999999999999", "999999999999999", "9223372037", "10990695083",
		},
		"less than an Integer may be": {
			slidingwindow.Status{Limit: slidingwindow.Limit{Name: "x", Max: -1, Window: -1}, Remaining: -1 << 63, ReplenishAfter: -1 << 63}, 0,
			"0;w=1", "0", "0", "0", "1767323046",
		},
		"nothing to reset": {
			slidingwindow.Status{Limit: burst, Remaining: 10}, 0,
			"10;w=1", "10", "10", "0", "1767323046",
		},
		"a Retry-After that is longer than a Duration": {
			slidingwindow.Status{Limit: daily, RetryAfter: time.Hour}, 1<<63 - 1,
			"1000;w=86400", "1000", "0", "3600", "1767326646",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := slidingwindow.NewDecision(0, test.status)
			h := written(HeadersDraft6|HeadersLegacy, d, test.retryAfter, test.status.Limit)
			assert.Equal(t, sent(map[string]string{
				"RateLimit-Policy": test.policy, "RateLimit-Limit": test.limit, "RateLimit-Remaining": test.remaining, "RateLimit-Reset": test.reset,
				"X-RateLimit-Limit": test.limit, "X-RateLimit-Remaining": test.remaining, "X-RateLimit-Reset": test.epoch,
			}), h)
			h = written(HeadersDraft7, d, test.retryAfter, test.status.Limit)
			assert.Equal(t, "limit="+test.limit+", remaining="+test.remaining+", reset="+test.reset, h.Get("RateLimit"))
			assert.Equal(t, test.policy, h.Get("RateLimit-Policy"))
		})
	}
}

func TestEpochIsExactOnAFullSecond(t *testing.T) {
	d := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, ReplenishAfter: 750 * time.Millisecond})
	assert.Equal(t, "1767323046", written(HeadersLegacy, d, 0, burst).Get("X-RateLimit-Reset"))
	d = slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, ReplenishAfter: 750*time.Millisecond + 1})
	assert.Equal(t, "1767323047", written(HeadersLegacy, d, 0, burst).Get("X-RateLimit-Reset"))
}

// A store that lets calls through while another one is down, or a limiter that is off.
func TestAnUnknownStatusIsToldInNoFormat(t *testing.T) {
	for set := Headers(0); set <= allFormats; set++ {
		assert.Empty(t, written(set, slidingwindow.Decision{Allowed: true}, 0, burst), set)
		assert.Empty(t, written(set, slidingwindow.Decision{Allowed: true}, 0, burst, daily), set)
		assert.Empty(t, written(set, slidingwindow.Decision{}, 1, burst), set)
		assert.Empty(t, written(set, slidingwindow.NewDecision(1, slidingwindow.Status{Limit: daily}), 0, burst), "%v: the status of another limit", set)
	}
	// And of one among others, nothing but its policy.
	d := slidingwindow.NewDecision(1, slidingwindow.Status{}, slidingwindow.Status{Limit: daily, Remaining: 7, ReplenishAfter: time.Hour})
	assert.Equal(t, sent(map[string]string{
		"RateLimit-Policy": `"burst";q=10;w=1, "daily";q=1000;w=86400`,
		"RateLimit":        `"daily";r=7;t=3600`,
	}), written(HeadersDraft11, d, 0, burst, daily))
}

func TestFieldNamesAreInTheFormOfNetHTTP(t *testing.T) {
	d := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, ReplenishAfter: time.Second})
	fields := slices.Collect(maps.Keys(written(manyFormats, d, 0, burst)))
	assert.Len(t, fields, usualLines)
	for _, field := range fields {
		assert.Equal(t, http.CanonicalHeaderKey(field), field)
	}
}

func TestLinesOfAResponseDoNotReachEachOther(t *testing.T) {
	d := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, ReplenishAfter: time.Second})
	h := written(manyFormats, d, 0, burst)
	want := h.Clone()
	for field := range h {
		_ = append(h[field], "another")
	}
	assert.Equal(t, want, h)
}

// Text and lines are one allocation each, whatever the formats.
func TestAllocationsOfHeaders(t *testing.T) {
	one := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, Remaining: 9, ReplenishAfter: time.Second})
	two := slidingwindow.NewDecision(1,
		slidingwindow.Status{Limit: burst, Remaining: 9, ReplenishAfter: time.Second},
		slidingwindow.Status{Limit: daily, Remaining: 7, ReplenishAfter: time.Hour})
	for set := Headers(0); set <= allFormats; set++ {
		h := http.Header{}
		allocations := func(d slidingwindow.Decision, limits ...slidingwindow.Limit) float64 {
			w := newHeaderWriter(set, limits, nil)
			turns := []turn{{plan: &plan{headers: w}, decision: d, at: testNow, tells: w.tells(&d)}}
			return testing.AllocsPerRun(100, func() {
				clear(h)
				new(told).write(h, turns, 0)
			})
		}
		assert.LessOrEqual(t, allocations(one, burst), 3.0, set)
		assert.LessOrEqual(t, allocations(two, burst, daily), 3.0, "%v: two limits", set)
	}
}
