package echomw

import (
	"net/http"
	"strings"
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
// and what is taken out of the fields leaves it as it was.
func FuzzLimitName(f *testing.F) {
	for _, seed := range []string{"", "api", `"`, `\`, `\"`, `a";t=1, "b`, ";t=9", ";x-limit=1", "\r\n", "\x00", "\x7f", "é"} {
		f.Add(seed, int64(30))
	}
	f.Fuzz(func(t *testing.T, name string, retryAfter int64) {
		limit := slidingwindow.Limit{Name: name, Max: 5, Window: 60e9}
		if limit.Validate() != nil || name == "" {
			return
		}
		status := slidingwindow.Status{Limit: limit, RetryAfter: 40e9, ResetAfter: 40e9}
		item := newListItems([]slidingwindow.Limit{limit})[0]
		line := string(appendComment(appendItem(nil, &item, &status, 0), &status, 0))
		h := http.Header{fieldRateLimit: {line}, fieldPolicy: {listPolicy([]slidingwindow.Limit{limit})}}
		requireNamed(t, h[fieldPolicy], name)
		requireNamed(t, h[fieldRateLimit], name)
		dropComments(h)
		dropLaterResets(h, retryAfter)
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

// FuzzEarlierFields: what middleware further out has sent is anything, and stays as it is
// but for the parameters that go.
func FuzzEarlierFields(f *testing.F) {
	for _, seed := range []string{"", `"api";r=1;t=30`, `"a\";t=9";r=1;t=9`, `"`, `"\`, ";t=", ";t=1;t=2", ";t=99999999999999999999", `a;x-limit=1;x-reset=-1`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		require.Equal(t, line, withoutParams(line, func(string, int64) bool { return false }))
		without := withoutParams(line, func(param string, _ int64) bool { return param == paramReset || param == commentLimit })
		require.LessOrEqual(t, len(without), len(line))
		require.Equal(t, strings.Count(line, `"`), strings.Count(without, `"`))
	})
}
