package echomw

import (
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

var (
	burst = slidingwindow.Limit{Name: "burst", Max: 10, Window: time.Second}
	daily = slidingwindow.Limit{Name: "daily", Max: 1000, Window: 24 * time.Hour}
	odd   = slidingwindow.Limit{Name: `a "quoted" \ name;t=9, x`, Max: 1, Window: 1500 * time.Millisecond}
)

func TestPolicy(t *testing.T) {
	for want, limits := range map[string][]slidingwindow.Limit{
		`"api";q=100;w=900`:                              {{Name: "api", Max: 100, Window: 15 * time.Minute}},
		`"burst";q=10;w=1, "daily";q=1000;w=86400`:       {burst, daily},
		`"closed";q=0;w=1`:                               {{Name: "closed", Max: 0, Window: time.Millisecond}},
		`"a \"quoted\" \\ name;t=9, x";q=1;w=2`:          {odd},
		`"most";q=999999999999999;w=315360000`:           {{Name: "most", Max: maxInteger, Window: 10 * 365 * 24 * time.Hour}},
		`"just over";q=1;w=61`:                           {{Name: "just over", Max: 1, Window: time.Minute + time.Microsecond}},
		`"100-per-1m";q=100;w=60, "9-per-1h";q=9;w=3600`: {slidingwindow.PerMinute(100), slidingwindow.PerHour(9)},
	} {
		headers := newDraftHeaders(limits)
		assert.Equal(t, want, headers.policy)
		parsed, err := httpsfv.UnmarshalList([]string{want})
		require.NoError(t, err)
		canonical, err := httpsfv.Marshal(parsed)
		require.NoError(t, err)
		assert.Equal(t, canonical, want, "the canonical form of RFC 9651")
	}
}

func TestRateLimitItems(t *testing.T) {
	for name, test := range map[string]struct {
		limits   []slidingwindow.Limit
		decision slidingwindow.Decision
		resetBy  int64
		want     []string
	}{
		"allowed": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, Remaining: 9, ResetAfter: time.Second}),
			0, []string{`"burst";r=9;t=1`},
		},
		"rounded up": {
			[]slidingwindow.Limit{daily},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: daily, Remaining: 999, ResetAfter: time.Hour + 1}),
			0, []string{`"daily";r=999;t=3601`},
		},
		"under a millisecond": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, ResetAfter: 1}),
			0, []string{`"burst";r=0;t=1`},
		},
		"nothing to reset": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(0, slidingwindow.Status{Limit: burst, Remaining: 10}),
			0, []string{`"burst";r=10`},
		},
		"several, allowed": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(1,
				slidingwindow.Status{Limit: burst, Remaining: 9, ResetAfter: time.Second},
				slidingwindow.Status{Limit: daily, Remaining: 1, ResetAfter: time.Hour}),
			0, []string{`"burst";r=9;t=1, "daily";r=1;t=3600`},
		},
		"refused": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(0, slidingwindow.Status{Limit: burst, RetryAfter: 300 * time.Millisecond, ResetAfter: 100 * time.Millisecond}),
			1, []string{`"burst";r=0;t=1`},
		},
		"refused at a cost above what remains": {
			[]slidingwindow.Limit{daily},
			slidingwindow.NewDecision(0, slidingwindow.Status{Limit: daily, Remaining: 2, RetryAfter: time.Hour, ResetAfter: time.Minute}),
			3600, []string{`"daily";r=2;t=3600`},
		},
		"refused by the short one: the reset of the long one would come after Retry-After": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(0,
				slidingwindow.Status{Limit: burst, RetryAfter: time.Second, ResetAfter: time.Second},
				slidingwindow.Status{Limit: daily, Remaining: 5, ResetAfter: time.Hour}),
			1, []string{`"burst";r=0;t=1, "daily";r=5`},
		},
		"refused by the long one": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(0,
				slidingwindow.Status{Limit: burst, Remaining: 9, ResetAfter: time.Second},
				slidingwindow.Status{Limit: daily, RetryAfter: time.Hour, ResetAfter: time.Hour}),
			3600, []string{`"burst";r=9;t=1, "daily";r=0;t=3600`},
		},
		"escaped": {
			[]slidingwindow.Limit{odd},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: odd, ResetAfter: time.Second}),
			0, []string{`"a \"quoted\" \\ name;t=9, x";r=0;t=1`},
		},
		"out of the range of a header": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(1,
				slidingwindow.Status{Limit: burst, Remaining: -1, ResetAfter: time.Second},
				slidingwindow.Status{Limit: daily, Remaining: math.MaxInt64, ResetAfter: math.MaxInt64}),
			0, []string{`"burst";r=0;t=1, "daily";r=999999999999999;t=9223372037`},
		},
		"a decision that knows no limit": {[]slidingwindow.Limit{burst}, slidingwindow.Decision{Allowed: true}, 0, nil},
		"nor of several":                 {[]slidingwindow.Limit{burst, daily}, slidingwindow.Decision{Allowed: true}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			headers := newDraftHeaders(test.limits)
			h := http.Header{}
			headers.add(h, &test.decision, test.resetBy)
			assert.Equal(t, test.want, h.Values("RateLimit"))
			assert.Equal(t, []string{headers.policy}, h.Values("RateLimit-Policy"))
		})
	}
}

func TestFieldsOfSeveralLimitersAddUp(t *testing.T) {
	first, second := newDraftHeaders([]slidingwindow.Limit{burst}), newDraftHeaders([]slidingwindow.Limit{daily})
	one := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, Remaining: 9, ResetAfter: time.Second})
	two := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: daily, Remaining: 7, ResetAfter: time.Hour})
	h := http.Header{}
	first.add(h, &one, 0)
	second.add(h, &two, 0)
	assert.Equal(t, []string{`"burst";r=9;t=1`, `"daily";r=7;t=3600`}, h.Values("RateLimit"))
	assert.Equal(t, []string{`"burst";q=10;w=1`, `"daily";q=1000;w=86400`}, h.Values("RateLimit-Policy"))

	parsed, err := httpsfv.UnmarshalList(h.Values("RateLimit"))
	require.NoError(t, err)
	assert.Len(t, parsed, 2)
}

func TestFieldNamesAreInTheFormOfNetHTTP(t *testing.T) {
	for _, field := range []string{fieldPolicy, fieldRateLimit} {
		assert.Equal(t, http.CanonicalHeaderKey(field), field)
	}
}

// Names with anything in them, and any numbers, come back from a parser as they went in.
func TestHeadersParseBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) slidingwindow.Limit {
			return slidingwindow.Limit{
				Name:   rapid.StringMatching(`[ -~]{1,64}`).Draw(t, "name"),
				Max:    rapid.Int64Range(0, maxInteger).Draw(t, "max"),
				Window: time.Duration(rapid.Int64Range(1e6, 315360000e9).Draw(t, "window")),
			}
		}), 1, 4, func(l slidingwindow.Limit) string { return l.Name }).Draw(t, "limits")
		statuses := make([]slidingwindow.Status, len(limits))
		for i, limit := range limits {
			statuses[i] = slidingwindow.Status{
				Limit:      limit,
				Remaining:  rapid.Int64Range(0, limit.Max).Draw(t, "remaining"),
				ResetAfter: time.Duration(rapid.Int64Range(0, int64(limit.Window)).Draw(t, "reset")),
			}
			if rapid.Bool().Draw(t, "refuses") {
				statuses[i].RetryAfter = time.Duration(rapid.Int64Range(max(1, int64(statuses[i].ResetAfter)), int64(limit.Window)).Draw(t, "retry"))
			}
		}
		d := slidingwindow.NewDecision(0, statuses...)
		headers, h := newDraftHeaders(limits), http.Header{}
		resetBy := int64(0)
		if !d.Allowed {
			resetBy = setRetryAfter(h, d.RetryAfter)
			require.Equal(t, strconv.FormatInt(resetBy, 10), h.Get("Retry-After"))
			require.GreaterOrEqual(t, resetBy, int64(1))
			require.GreaterOrEqual(t, time.Duration(resetBy)*time.Second, d.RetryAfter)
		}
		headers.add(h, &d, resetBy)

		policies, items := parseList(t, h.Values("RateLimit-Policy")), parseList(t, h.Values("RateLimit"))
		require.Len(t, policies, len(limits))
		require.Len(t, items, len(limits))
		for i, limit := range limits {
			require.Equal(t, limit.Name, policies[i].Value)
			require.Equal(t, limit.Name, items[i].Value)
			require.Equal(t, []string{"q", "w"}, policies[i].Params.Names())
			require.Equal(t, limit.Max, param(policies[i], "q"))
			require.GreaterOrEqual(t, time.Duration(param(policies[i], "w"))*time.Second, limit.Window)
			require.Equal(t, statuses[i].Remaining, param(items[i], "r"))
			if _, told := items[i].Params.Get("t"); told && !d.Allowed {
				require.LessOrEqual(t, param(items[i], "t"), resetBy, "Retry-After is never earlier than a reset")
			} else if !d.Allowed {
				require.Zero(t, statuses[i].RetryAfter, "a limit that refused tells its reset")
			}
		}
	})
}

func parseList(t require.TestingT, lines []string) []httpsfv.Item {
	list, err := httpsfv.UnmarshalList(lines)
	require.NoError(t, err)
	items := make([]httpsfv.Item, len(list))
	for i, member := range list {
		items[i] = member.(httpsfv.Item)
	}
	return items
}

func param(item httpsfv.Item, name string) int64 {
	value, _ := item.Params.Get(name)
	n, _ := value.(int64)
	return n
}

func TestDropLaterResets(t *testing.T) {
	for value, want := range map[string]string{
		`"a";r=1;t=60`:                       `"a";r=1;t=60`,
		`"a";r=1;t=61`:                       `"a";r=1`,
		`"a";r=1;t=61, "b";r=2;t=60`:         `"a";r=1, "b";r=2;t=60`,
		`"a";r=1;t=60, "b";r=2;t=100`:        `"a";r=1;t=60, "b";r=2`,
		`"a";r=1;t=61, "b";r=2;t=62;x="y;t"`: `"a";r=1, "b";r=2;x="y;t"`,
		`"a;t=99";r=1;t=5`:                   `"a;t=99";r=1;t=5`,
		`"a\";t=99";r=1;t=99`:                `"a\";t=99";r=1`,
		`"a\\";r=1;t=99`:                     `"a\\";r=1`,
		`"a";r=1`:                            `"a";r=1`,
		`"a";r=1;t=`:                         `"a";r=1;t=`,
		`"a";t=99999999999999999999;r=1`:     `"a";t=99999999999999999999;r=1`, // no Integer
		`"unclosed\`:                         `"unclosed\`,
		``:                                   ``,
	} {
		before := []string{value}
		h := http.Header{fieldRateLimit: before}
		dropLaterResets(h, 60)
		assert.Equal(t, []string{want}, h[fieldRateLimit])
		assert.Equal(t, []string{value}, before, "another response may hold the same list")
	}
	h := http.Header{}
	dropLaterResets(h, 60)
	assert.Empty(t, h)
}

func TestSetRetryAfter(t *testing.T) {
	for _, test := range []struct {
		earlier string
		wait    time.Duration
		want    string
	}{
		{"", 0, "1"},
		{"", -time.Second, "1"},
		{"", 1, "1"},
		{"", time.Second, "1"},
		{"", time.Second + 1, "2"},
		{"", 90 * time.Second, "90"},
		{"", math.MaxInt64, "9223372037"},
		{"30", 90 * time.Second, "90"},
		{"120", 90 * time.Second, "120"},
		{"0", 0, "1"},
		{"1.5", time.Second, "1"},
		{"Mon, 05 Aug 2019 09:27:05 GMT", time.Second, "1"},
	} {
		h := http.Header{}
		if test.earlier != "" {
			h.Set("Retry-After", test.earlier)
		}
		seconds := setRetryAfter(h, test.wait)
		assert.Equal(t, []string{test.want}, h.Values("Retry-After"))
		assert.Equal(t, test.want, strconv.FormatInt(seconds, 10))
	}
}
