package httplimit

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestEpisodeEndsAfterAQuietTime(t *testing.T) {
	e, err := newEpisodes()
	require.NoError(t, err)
	at := func(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }
	assert.True(t, e.begins("k", at(0), 10*time.Second))
	assert.False(t, e.begins("k", at(9), 10*time.Second))
	assert.True(t, e.begins("other", at(9), 10*time.Second))
	assert.False(t, e.begins("k", at(18), 10*time.Second), "each refusal prolongs it")
	assert.True(t, e.begins("k", at(28), 10*time.Second))
	assert.True(t, e.begins("two limits", at(0), time.Hour))
	assert.False(t, e.begins("two limits", at(1), time.Second))
	assert.False(t, e.begins("two limits", at(3000), time.Second), "a shorter limit ends no longer episode")
	assert.False(t, e.begins("k", at(28), 10*time.Second))
}

func TestEpisodesAreBounded(t *testing.T) {
	e, err := newEpisodes()
	require.NoError(t, err)
	now := time.Unix(1_700_000_000, 0)
	assert.True(t, e.begins("kept", now, time.Hour))
	for i := range 2 * watchedKeys {
		require.True(t, e.begins(strconv.Itoa(i), now, time.Hour))
		require.False(t, e.begins("kept", now, time.Hour), "one that goes on is not forgotten")
	}
	assert.Equal(t, watchedKeys, e.ends.Len())
	assert.True(t, e.begins("0", now, time.Hour), "the oldest are")
}

// A refusal that stands is told again without asking Redis: it is the same episode.
func TestCachedRefusalsBelongToTheEpisode(t *testing.T) {
	of := func(reason slidingwindow.Reason) string {
		return episodeOf(&turn{key: "k", decision: slidingwindow.Decision{Reason: reason}})
	}
	assert.Equal(t, of(slidingwindow.ReasonRefused), of(slidingwindow.ReasonCached))
	assert.NotEqual(t, of(slidingwindow.ReasonRefused), of(slidingwindow.ReasonShadow))
	assert.NotEqual(t, of(slidingwindow.ReasonRefused), of(slidingwindow.ReasonFallback))
}
