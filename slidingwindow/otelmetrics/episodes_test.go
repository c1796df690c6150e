package otelmetrics

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAnEpisodeEndsAWindowAfterItsLastRefusal(t *testing.T) {
	t.Parallel()
	e, now := newEpisodes(), time.Now()
	api := label{policy: "api", result: "refused"}
	assert.True(t, e.begins(api, 1, now, time.Minute))
	assert.False(t, e.begins(label{policy: "api", result: "cached"}, 1, now.Add(30*time.Second), time.Minute))
	assert.False(t, e.begins(api, 1, now.Add(89*time.Second), time.Minute))
	assert.True(t, e.begins(api, 1, now.Add(149*time.Second), time.Minute))
	assert.True(t, e.begins(api, 2, now, time.Minute), "another key")
	assert.True(t, e.begins(label{policy: "login", result: "refused"}, 2, now, time.Minute), "another limit")
	assert.True(t, e.begins(label{policy: "api", result: "shadow"}, 2, now, time.Minute), "another reason")
	for key := range uint64(2 * watchedKeys) {
		e.begins(api, key, now, time.Minute)
	}
	assert.Equal(t, watchedKeys, e.ends.Len())
}
