package httplimit

import (
	"net/http"
	"slices"
	"testing"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// FuzzParseHeaders: a set that is taken writes itself as it was read.
func FuzzParseHeaders(f *testing.F) {
	for _, seed := range []string{"", ",", "draft-11", "draft-8, draft-7", " legacy\t,draft-6", "none", "none,legacy", "Draft-11", "draft-11;", "draft-11\n", "redis://:p@h", "draft-11,,legacy"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseHeaders(text)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalidConfig)
			require.Zero(t, set)
			require.NotRegexp(t, `[\x00-\x1f\x7f]`, err.Error())
			return
		}
		require.Empty(t, set.fault())
		again, err := ParseHeaders(set.String())
		require.NoError(t, err)
		require.Equal(t, set, again)
	})
}

// FuzzLimitName: a name that Validate takes comes back from a parser of structured fields,
// alone and next to another limiter's.
func FuzzLimitName(f *testing.F) {
	for _, seed := range []string{"", "api", `"`, `\`, `\"`, `a";t=1, "b`, ";t=9", ";x-limit=1", "\r\n", "\x00", "\x7f", "é"} {
		f.Add(seed, int64(30))
	}
	f.Fuzz(func(t *testing.T, name string, retryAfter int64) {
		limit := slidingwindow.Limit{Name: name, Max: 5, Window: 60e9}
		if limit.Validate() != nil || name == "" {
			return
		}
		d := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: limit, ReplenishAfter: 40e9})
		h := written(manyFormats, d, retryAfter, limit)
		requireNamed(t, h[fieldPolicy], name)
		requireNamed(t, h[fieldRateLimit], name)
		again := responseOfTest{header: h}
		again.write(newHeaderWriter(manyFormats, []slidingwindow.Limit{limit}, nil), d, retryAfter)
		requireNamed(t, h[fieldPolicy], name)
		requireNamed(t, h[fieldRateLimit], name)
	})
}

func requireNamed(t *testing.T, lines []string, name string) {
	t.Helper()
	list, err := httpsfv.UnmarshalList(lines)
	require.NoError(t, err, lines)
	require.Len(t, list, 1)
	item, ok := list[0].(httpsfv.Item)
	require.True(t, ok)
	require.Equal(t, name, item.Value)
}

// FuzzFieldsOfOthers: what others have sent is anything, and the result is what a parser
// takes, with our limit in it.
func FuzzFieldsOfOthers(f *testing.F) {
	for _, seed := range []string{"", `"api";r=1;t=30`, `"a\";t=9";r=1;t=9`, `"`, `"\`, ";t=", ";t=1;t=2", ";t=99999999999999999999",
		`a;x-limit=1;x-reset=-1`, "limit=3, remaining=1, reset=5", "limit=3", "3;w=5", `("a" "b");r=1`, `"x";r`, "1.5", "\xff"} {
		f.Add(seed, uint8(HeadersDraft11), int64(0))
		f.Add(seed, uint8(allFormats&^HeadersDraft11), int64(30))
	}
	f.Fuzz(func(t *testing.T, line string, set uint8, retryAfter int64) {
		formats := Headers(set) & allFormats
		r := responseOfTest{header: http.Header{}}
		for _, field := range usualFields {
			r.header[field] = []string{line, line}
		}
		r.write(newHeaderWriter(formats, []slidingwindow.Limit{burst}, nil), burstLeft9, max(0, retryAfter))
		written := r.header.Clone()
		r.told.write(r.header, r.turns, max(0, retryAfter))
		require.Equal(t, written, r.header, "writing twice changes nothing")
		for _, field := range usualFields {
			if !slices.Equal(r.header[field], []string{line, line}) {
				requireWellFormed(t, r.header, field, formats.formats())
			}
		}
	})
}

var usualFields = []string{fieldRateLimit, fieldPolicy, fieldLimit, fieldRemaining, fieldReset, fieldLegacyLimit, fieldLegacyRemaining, fieldLegacyReset}

// requireWellFormed fails unless the field is what its format prescribes.
func requireWellFormed(t require.TestingT, h http.Header, field string, formats Headers) {
	values := h[field]
	switch {
	case field == fieldRateLimit && formats&HeadersDraft11 == 0:
		if len(values) > 0 {
			require.Len(t, values, 1)
			dictionary, err := httpsfv.UnmarshalDictionary(values)
			require.NoError(t, err)
			require.Equal(t, []string{"limit", "remaining", "reset"}, dictionary.Names())
		}
	case field == fieldRateLimit || field == fieldPolicy:
		list, err := httpsfv.UnmarshalList(values)
		require.NoError(t, err, values)
		names := map[string]bool{}
		for _, member := range list {
			item, ok := member.(httpsfv.Item)
			require.True(t, ok, values)
			if formats&HeadersDraft11 == 0 {
				require.GreaterOrEqual(t, whole(item.Value), int64(0))
				continue
			}
			name, ok := item.Value.(string)
			require.True(t, ok, values)
			require.False(t, names[name], "%q is there twice", name)
			names[name] = true
		}
	default:
		require.LessOrEqual(t, len(values), 1, field)
	}
}
