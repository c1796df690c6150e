package httplimit

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func drawLimits(t *rapid.T) []slidingwindow.Limit {
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) slidingwindow.Limit {
		return slidingwindow.Limit{
			Name:   rapid.StringMatching(`[ -~]{1,64}|[";\\=a-z-]{1,20}`).Draw(t, "name"),
			Max:    rapid.Int64Range(0, maxInteger).Draw(t, "max"),
			Window: time.Duration(rapid.Int64Range(1e6, 315360000e9).Draw(t, "window")),
		}
	}), 1, 3, func(l slidingwindow.Limit) string { return l.Name }).Draw(t, "limits")
}

func drawStatuses(t *rapid.T, limits []slidingwindow.Limit, mayRefuse bool) []slidingwindow.Status {
	statuses := make([]slidingwindow.Status, len(limits))
	for i, limit := range limits {
		statuses[i] = slidingwindow.Status{
			Limit:          limit,
			Remaining:      rapid.Int64Range(0, limit.Max).Draw(t, "remaining"),
			ReplenishAfter: time.Duration(rapid.Int64Range(0, int64(limit.Window)).Draw(t, "reset")),
		}
		if mayRefuse && rapid.Bool().Draw(t, "refuses") {
			statuses[i].RetryAfter = time.Duration(rapid.Int64Range(max(1, int64(statuses[i].ReplenishAfter)), int64(limit.Window)).Draw(t, "retry"))
		}
	}
	return statuses
}

// response is what a client reads, in all formats at once; -1 is no such field.
type response struct {
	policies, items                              []httpsfv.Item
	dictionary                                   *httpsfv.Dictionary
	limit, remaining, reset                      int64
	legacyLimit, legacyRemaining, legacyResetsAt int64
}

// parse fails for a field that a parser of its format does not take, or that has several
// lines without being a List. draft7 tells whether RateLimit is to be its Dictionary.
func parse(t require.TestingT, h http.Header, draft7 bool) response {
	integer := func(field string) int64 {
		values := h.Values(field)
		if len(values) == 0 {
			return -1
		}
		require.Len(t, values, 1, field)
		item, err := httpsfv.UnmarshalItem(values)
		require.NoError(t, err, field)
		require.Empty(t, item.Params.Names())
		n, ok := item.Value.(int64)
		require.True(t, ok, "%s is not an Integer", field)
		require.GreaterOrEqual(t, n, int64(0), field)
		return n
	}
	r := response{
		policies: parseList(t, h.Values("RateLimit-Policy")),
		limit:    integer("RateLimit-Limit"), remaining: integer("RateLimit-Remaining"), reset: integer("RateLimit-Reset"),
		legacyLimit: integer("X-RateLimit-Limit"), legacyRemaining: integer("X-RateLimit-Remaining"), legacyResetsAt: integer("X-RateLimit-Reset"),
	}
	if !draft7 {
		r.items = parseList(t, h.Values("RateLimit"))
		return r
	}
	if values := h.Values("RateLimit"); len(values) > 0 {
		require.Len(t, values, 1)
		dictionary, err := httpsfv.UnmarshalDictionary(values)
		require.NoError(t, err)
		require.Equal(t, []string{"limit", "remaining", "reset"}, dictionary.Names())
		r.dictionary = dictionary
	}
	return r
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

func member(dictionary *httpsfv.Dictionary, name string) int64 {
	value, _ := dictionary.Get(name)
	n, _ := value.(httpsfv.Item).Value.(int64)
	return n
}

// Two limiters of one route and one set, the second of which may refuse: all that they said
// comes back from parsers as it went in, and no reset is later than Retry-After.
func TestHeadersParseBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := Headers(rapid.IntRange(0, int(allFormats)).Filter(func(set int) bool { return Headers(set).fault() == "" }).Draw(t, "set"))
		now, h := testNow, http.Header{}
		responses := responseOfTest{header: h}
		if rapid.Bool().Draw(t, "has a Retry-After") {
			h.Set("Retry-After", strconv.FormatInt(rapid.Int64Range(0, 1e6).Draw(t, "earlier"), 10))
		}
		var limits []slidingwindow.Limit
		var statuses []slidingwindow.Status
		retryAfter := int64(0)
		for _, mayRefuse := range []bool{false, true} {
			ownLimits := drawLimits(t)
			ownStatuses := drawStatuses(t, ownLimits, mayRefuse)
			d := slidingwindow.NewDecision(0, ownStatuses...)
			if !d.Allowed {
				retryAfter = setRetryAfter(h, d.RetryAfter)
				require.Equal(t, []string{strconv.FormatInt(retryAfter, 10)}, h.Values("Retry-After"))
				require.GreaterOrEqual(t, retryAfter, max(1, ceilSeconds(d.RetryAfter)))
			}
			responses.write(newHeaderWriter(set, ownLimits, nil), d, retryAfter)
			limits, statuses = append(limits, ownLimits...), append(statuses, ownStatuses...)
		}

		formats := set.formats()
		isList := formats&HeadersDraft11 != 0
		r := parse(t, h, !isList)
		tightest := slidingwindow.NewDecision(0, statuses...)
		wait := tightest.ReplenishAfter
		if !tightest.Allowed {
			wait = tightest.RetryAfter
		}
		seconds := ceilSeconds(wait)
		if retryAfter > 0 {
			require.LessOrEqual(t, seconds, retryAfter)
		}
		requirePolicies(t, r.policies, formats, limits)
		requireItems(t, r.items, formats, statuses, retryAfter)
		if formats&HeadersDraft7 != 0 && !isList {
			require.Equal(t, []int64{tightest.Limit.Max, tightest.Remaining, seconds},
				[]int64{member(r.dictionary, "limit"), member(r.dictionary, "remaining"), member(r.dictionary, "reset")})
		} else {
			require.Nil(t, r.dictionary)
		}
		want := []int64{-1, -1, -1}
		if formats&HeadersDraft6 != 0 {
			want = []int64{tightest.Limit.Max, tightest.Remaining, seconds}
		}
		require.Equal(t, want, []int64{r.limit, r.remaining, r.reset})
		want = []int64{-1, -1, -1}
		if formats&HeadersLegacy != 0 {
			want = []int64{tightest.Limit.Max, tightest.Remaining, ceilUnix(now.Add(wait))}
			if retryAfter > 0 {
				require.LessOrEqual(t, r.legacyResetsAt, ceilUnix(now)+retryAfter)
			}
		}
		require.Equal(t, want, []int64{r.legacyLimit, r.legacyRemaining, r.legacyResetsAt})
	})
}

func requirePolicies(t require.TestingT, policies []httpsfv.Item, formats Headers, limits []slidingwindow.Limit) {
	if formats&^HeadersLegacy == 0 {
		require.Empty(t, policies)
		return
	}
	require.Len(t, policies, len(limits))
	for i, limit := range limits {
		require.GreaterOrEqual(t, time.Duration(param(policies[i], "w"))*time.Second, limit.Window)
		if formats&HeadersDraft11 == 0 {
			require.Equal(t, limit.Max, policies[i].Value)
			require.Equal(t, []string{"w"}, policies[i].Params.Names())
			continue
		}
		require.Equal(t, limit.Name, policies[i].Value)
		require.Equal(t, []string{"q", "w"}, policies[i].Params.Names())
		require.Equal(t, limit.Max, param(policies[i], "q"))
	}
}

func requireItems(t require.TestingT, items []httpsfv.Item, formats Headers, statuses []slidingwindow.Status, retryAfter int64) {
	if formats&HeadersDraft11 == 0 {
		require.Empty(t, items)
		return
	}
	require.Len(t, items, len(statuses))
	for i, s := range statuses {
		require.Equal(t, s.Limit.Name, items[i].Value)
		require.Equal(t, s.Remaining, param(items[i], "r"))
		reset := ceilSeconds(waitOf(&s))
		if _, told := items[i].Params.Get("t"); told {
			require.Equal(t, reset, param(items[i], "t"))
			require.True(t, retryAfter == 0 || reset <= retryAfter, "Retry-After is never earlier than a reset")
		} else if reset > 0 {
			require.Greater(t, reset, retryAfter, "left out without need")
			require.Zero(t, s.RetryAfter, "a limit that refused tells its reset")
			require.NotZero(t, retryAfter)
		}
	}
}

func drawAnyDuration(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-3e9, 3e9), rapid.Int64Range(1e9, 1e14), rapid.Int64()).Draw(t, label))
}

// Limiters of any sets, with any numbers in their decisions: every field is one that a parser
// takes, and on a refusal none has a reset after Retry-After.
func TestAnyDecisionsInAnySetsAreWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		formats, h := Headers(0), http.Header{}
		responses := responseOfTest{header: h}
		retryAfter := int64(0)
		for range rapid.IntRange(1, 3).Draw(t, "limiters") {
			limits := drawLimits(t)
			set := rapid.SampledFrom([]Headers{HeadersNone, HeadersDraft11, HeadersDraft7, HeadersDraft6, HeadersLegacy,
				HeadersDraft7 | HeadersDraft6, manyFormats}).Draw(t, "set")
			statuses := make([]slidingwindow.Status, len(limits))
			for i := range statuses {
				statuses[i] = slidingwindow.Status{
					Remaining:      rapid.Int64().Draw(t, "remaining"),
					RetryAfter:     drawAnyDuration(t, "retry"),
					ReplenishAfter: drawAnyDuration(t, "reset"),
				}
				if rapid.IntRange(0, 5).Draw(t, "known") > 0 {
					statuses[i].Limit = limits[i]
				}
			}
			d := slidingwindow.NewDecision(0, statuses...)
			d.Allowed = rapid.Bool().Draw(t, "allowed")
			if !d.Allowed && rapid.IntRange(0, 3).Draw(t, "obeyed") > 0 {
				retryAfter = setRetryAfter(h, d.RetryAfter)
			}
			w := newHeaderWriter(set, limits, nil)
			if w.tells(&d) {
				formats |= w.formats
			}
			responses.write(w, d, retryAfter)
			if retryAfter > 0 {
				break
			}
		}

		isList := formats&HeadersDraft11 != 0 || formats&HeadersDraft7 == 0
		r := parse(t, h, !isList)
		if retryAfter == 0 {
			require.Empty(t, h.Values("Retry-After"))
			return
		}
		require.Equal(t, []string{strconv.FormatInt(retryAfter, 10)}, h.Values("Retry-After"))
		require.LessOrEqual(t, r.reset, retryAfter)
		require.LessOrEqual(t, r.legacyResetsAt, testUnix+1+retryAfter)
		for _, item := range r.items {
			require.LessOrEqual(t, param(item, "t"), retryAfter)
		}
		if r.dictionary != nil {
			require.LessOrEqual(t, member(r.dictionary, "reset"), retryAfter)
		}
	})
}
