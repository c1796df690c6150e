package httplimit

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// step is one limiter of a route and its answer.
type step struct {
	set        Headers
	decision   slidingwindow.Decision
	retryAfter int64
}

// route lets limiters of one limit each write to one response, one after another.
func route(steps ...step) http.Header {
	r := responseOfTest{header: http.Header{}}
	for _, s := range steps {
		r.write(newHeaderWriter(s.set, []slidingwindow.Limit{s.decision.Limit}, nil), s.decision, s.retryAfter)
	}
	return r.header
}

func lines(fields map[string][]string) http.Header {
	h := http.Header{}
	for field, values := range fields {
		h[http.CanonicalHeaderKey(field)] = values
	}
	return h
}

var (
	burstLeft9 = slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, Remaining: 9, ReplenishAfter: time.Second})
	dailyLeft7 = slidingwindow.NewDecision(1, slidingwindow.Status{Limit: daily, Remaining: 7, ReplenishAfter: time.Hour})
	dailyLeft9 = slidingwindow.NewDecision(1, slidingwindow.Status{Limit: daily, Remaining: 9, ReplenishAfter: time.Hour})
	burstSpent = slidingwindow.NewDecision(0, slidingwindow.Status{Limit: burst, RetryAfter: time.Second, ReplenishAfter: time.Second})
	dailySpent = slidingwindow.NewDecision(0, slidingwindow.Status{Limit: daily, RetryAfter: time.Hour, ReplenishAfter: time.Hour})
)

func TestTwoLimitersInEveryFormat(t *testing.T) {
	showsDaily := map[string][]string{
		"RateLimit-Limit": {"1000"}, "RateLimit-Remaining": {"7"}, "RateLimit-Reset": {"3600"},
		"X-RateLimit-Limit": {"1000"}, "X-RateLimit-Remaining": {"7"}, "X-RateLimit-Reset": {"1767326646"},
	}
	with := func(policy, rateLimit []string) http.Header {
		h := lines(showsDaily)
		h[fieldPolicy], h[fieldRateLimit] = policy, rateLimit
		return h
	}
	assert.Equal(t, with(
		[]string{`"burst";q=10;w=1`, `"daily";q=1000;w=86400`},
		[]string{`"burst";r=9;t=1`, `"daily";r=7;t=3600`},
	), route(step{manyFormats, burstLeft9, 0}, step{manyFormats, dailyLeft7, 0}), "the second is tighter")
	assert.Equal(t, with(
		[]string{`"daily";q=1000;w=86400`, `"burst";q=10;w=1`},
		[]string{`"daily";r=7;t=3600`, `"burst";r=9;t=1`},
	), route(step{manyFormats, dailyLeft7, 0}, step{manyFormats, burstLeft9, 0}), "the first is tighter")

	older := allFormats &^ HeadersDraft11
	assert.Equal(t, with([]string{"10;w=1", "1000;w=86400"}, []string{"limit=1000, remaining=7, reset=3600"}),
		route(step{older, burstLeft9, 0}, step{older, dailyLeft7, 0}))
	assert.Equal(t, with([]string{"1000;w=86400", "10;w=1"}, []string{"limit=1000, remaining=7, reset=3600"}),
		route(step{older, dailyLeft7, 0}, step{older, burstLeft9, 0}))
}

func TestTheFirstOfEqualLimitersIsShown(t *testing.T) {
	assert.Equal(t, "10", route(step{HeadersDraft6, burstLeft9, 0}, step{HeadersDraft6, dailyLeft9, 0}).Get("RateLimit-Limit"))
	assert.Equal(t, "1000", route(step{HeadersDraft6, dailyLeft9, 0}, step{HeadersDraft6, burstLeft9, 0}).Get("RateLimit-Limit"))
}

func TestTheLimiterThatRefusesIsShown(t *testing.T) {
	// Even where an earlier one has as little left.
	dailyLeft0 := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: daily, ReplenishAfter: time.Hour})
	assert.Equal(t, lines(map[string][]string{
		"RateLimit-Policy": {`"daily";q=1000;w=86400`, `"burst";q=10;w=1`},
		"RateLimit":        {`"daily";r=0`, `"burst";r=0;t=1`},
		"RateLimit-Limit":  {"10"}, "RateLimit-Remaining": {"0"}, "RateLimit-Reset": {"1"},
		"X-RateLimit-Limit": {"10"}, "X-RateLimit-Remaining": {"0"}, "X-RateLimit-Reset": {"1767323047"},
	}), route(step{manyFormats, dailyLeft0, 0}, step{manyFormats, burstSpent, 1}))

	assert.Equal(t, lines(map[string][]string{
		"RateLimit-Policy": {"1000;w=86400", "10;w=1"},
		"RateLimit":        {"limit=10, remaining=0, reset=1"},
	}), route(step{HeadersDraft7, dailyLeft0, 0}, step{HeadersDraft7, burstSpent, 1}))
}

// The first limiter would have refused, but did not have to be obeyed.
func TestTheLongestWaitIsShownUnlessRetryAfterIsShorter(t *testing.T) {
	assert.Equal(t, "1000", route(step{HeadersDraft6, dailySpent, 0}, step{HeadersDraft6, burstLeft9, 0}).Get("RateLimit-Limit"))
	assert.Equal(t, "1000", route(step{HeadersDraft6, dailySpent, 0}, step{HeadersDraft6, burstSpent, 3600}).Get("RateLimit-Limit"))
	h := route(step{HeadersDraft6, dailySpent, 0}, step{HeadersDraft6, burstSpent, 1})
	assert.Equal(t, "10", h.Get("RateLimit-Limit"))
	assert.Equal(t, "1", h.Get("RateLimit-Reset"))
}

func TestLimitersWithDifferentFormats(t *testing.T) {
	for name, test := range map[string]struct {
		steps []step
		want  map[string][]string
	}{
		"a later limiter keeps up to date what it does not send": {
			[]step{{HeadersLegacy, burstLeft9, 0}, {HeadersDraft11, dailyLeft7, 0}},
			map[string][]string{
				"RateLimit-Policy": {`"daily";q=1000;w=86400`}, "RateLimit": {`"daily";r=7;t=3600`},
				"X-RateLimit-Limit": {"1000"}, "X-RateLimit-Remaining": {"7"}, "X-RateLimit-Reset": {"1767326646"},
			},
		},
		"and shows an earlier one in what only it sends": {
			[]step{{HeadersDraft11, dailyLeft7, 0}, {HeadersDraft6, burstLeft9, 0}},
			map[string][]string{
				"RateLimit-Policy": {`"daily";q=1000;w=86400`}, "RateLimit": {`"daily";r=7;t=3600`},
				"RateLimit-Limit": {"1000"}, "RateLimit-Remaining": {"7"}, "RateLimit-Reset": {"3600"},
			},
		},
		"a Dictionary gives way to a List": {
			[]step{{HeadersDraft7, burstLeft9, 0}, {HeadersDraft11, dailyLeft7, 0}},
			map[string][]string{
				"RateLimit-Policy": {`"daily";q=1000;w=86400`},
				"RateLimit":        {`"daily";r=7;t=3600`},
			},
		},
		"which says nothing of a tighter limit that is not in it": {
			[]step{{HeadersDraft7, dailyLeft7, 0}, {HeadersDraft11, burstLeft9, 0}},
			map[string][]string{"RateLimit-Policy": {`"burst";q=10;w=1`}, "RateLimit": {`"burst";r=9;t=1`}},
		},
		"and is not followed by one": {
			[]step{{HeadersDraft11, burstLeft9, 0}, {HeadersDraft7, dailyLeft7, 0}},
			map[string][]string{"RateLimit-Policy": {`"burst";q=10;w=1`}, "RateLimit": {`"burst";r=9;t=1`}},
		},
		"a limiter without headers is not shown": {
			[]step{{HeadersNone, dailyLeft7, 0}, {HeadersDraft6, burstLeft9, 0}, {HeadersNone, dailyLeft7, 0}},
			map[string][]string{"RateLimit-Policy": {"10;w=1"}, "RateLimit-Limit": {"10"}, "RateLimit-Remaining": {"9"}, "RateLimit-Reset": {"1"}},
		},
		"but its refusal takes back later resets": {
			[]step{{manyFormats, dailyLeft7, 0}, {HeadersNone, burstSpent, 1}},
			map[string][]string{"RateLimit-Policy": {`"daily";q=1000;w=86400`}, "RateLimit": {`"daily";r=7`}},
		},
		"also those of a Dictionary": {
			[]step{{HeadersDraft7, dailyLeft7, 0}, {HeadersNone, burstSpent, 1}},
			map[string][]string{"RateLimit-Policy": {"1000;w=86400"}},
		},
		"and only those": {
			[]step{{HeadersDraft7, dailyLeft7, 0}, {HeadersNone, burstSpent, 3600}},
			map[string][]string{"RateLimit-Policy": {"1000;w=86400"}, "RateLimit": {"limit=1000, remaining=7, reset=3600"}},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, lines(test.want), route(test.steps...)) })
	}
}

func TestALimiterOfAnUnknownStatusChangesNothing(t *testing.T) {
	var r responseOfTest
	w := newHeaderWriter(manyFormats, []slidingwindow.Limit{burst}, nil)
	r.write(w, burstLeft9, 0)
	want := r.header.Clone()
	r.write(w, slidingwindow.Decision{Allowed: true}, 0)
	assert.Equal(t, want, r.header)
}

// A wait is counted from when it was told of, whatever happens before the next limiter.
func TestAPointInTimeStaysWhereItIs(t *testing.T) {
	var r responseOfTest
	r.write(newHeaderWriter(HeadersLegacy, []slidingwindow.Limit{daily}, nil), dailyLeft7, 0)
	want := r.header.Clone()
	r.turns = append(r.turns, turn{plan: &plan{headers: newHeaderWriter(HeadersLegacy, []slidingwindow.Limit{burst}, nil)},
		decision: burstLeft9, at: testNow.Add(time.Minute), tells: true})
	r.told.write(r.header, r.turns, 0)
	assert.Equal(t, want, r.header)
}
