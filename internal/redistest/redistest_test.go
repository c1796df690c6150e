package redistest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestClientReachesARealRedisAndPrefixCleansUp(t *testing.T) {
	client := redistest.Client(t)
	var key string
	t.Run("test that writes", func(t *testing.T) {
		key = redistest.Prefix(t, client) + ":{k}:x"
		require.NoError(t, client.Do(t.Context(), client.B().Set().Key(key).Value("v").Build()).Error())
	})
	exists, err := client.Do(t.Context(), client.B().Exists().Key(key).Build()).AsBool()
	require.NoError(t, err)
	assert.False(t, exists)
}
