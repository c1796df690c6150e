package guard

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

var errGone = errors.New("gone")

// fail tells of n failures, the time between after each, and how many outages began.
func fail(b *breaker, n int, between time.Duration) (begun int) {
	for range n {
		if b.failed("k", errGone) != nil {
			begun++
		}
		time.Sleep(between)
	}
	return begun
}

func TestFiveFailuresInHalfASecondAreAnOutage(t *testing.T) {
	for _, test := range []struct {
		name     string
		failures int
		between  time.Duration
		begun    int
	}{
		{"many at once", 1000, 0, 0},
		{"four", 4, time.Second, 0},
		{"five, too fast", 5, 124 * time.Millisecond, 0},
		{"five", 5, 125 * time.Millisecond, 1},
		{"told once", 50, 125 * time.Millisecond, 1},
		{"slow calls", 5, 10 * time.Second, 1},
		{"too far apart", 50, 10*time.Second + 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b breaker
				assert.Equal(t, test.begun, fail(&b, test.failures, test.between))
				assert.Equal(t, test.begun == 1, b.out() != nil)
			})
		})
	}
}

func TestAGrantEndsTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		for range 10 {
			require.Zero(t, fail(&b, 4, time.Second))
			b.granted()
		}
		require.Equal(t, 1, fail(&b, 5, time.Second))
		b.granted()
		assert.NotNil(t, b.out(), "it was sent before")
	})
}

func TestAProbeEndsTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		assert.Nil(t, b.startProbe(), "there is nothing to look for")
		began := time.Now().Add(4 * time.Second)
		require.Equal(t, 1, fail(&b, 5, time.Second))
		out := b.startProbe()
		require.NotNil(t, out)
		assert.Equal(t, outage{began: began, key: "k", err: errGone}, *out)
		assert.Nil(t, b.startProbe(), "one at a time")
		assert.False(t, b.endProbe(errGone))
		require.NotNil(t, b.startProbe())
		assert.False(t, b.endProbe(nil))
		assert.Nil(t, b.out())
		assert.Nil(t, b.startProbe())
		assert.Zero(t, fail(&b, 4, time.Second), "it begins anew")
		assert.Equal(t, 1, fail(&b, 1, 0))
	})
}

func TestEachReasonIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		require.Equal(t, 1, fail(&b, 5, time.Second))
		news := func(code string) bool {
			require.NotNil(t, b.startProbe())
			err := fmt.Errorf("%w: redis: %w", slidingwindow.ErrStoreUnavailable, &slidingwindow.ReplyError{Code: code})
			told := b.endProbe(err)
			assert.Equal(t, err, b.out().err, "the last reason is what callers are told")
			return told
		}
		assert.True(t, news("LOADING"))
		assert.False(t, news("LOADING"))
		assert.True(t, news("OOM"))
		assert.False(t, news("LOADING"))
		for i := range 20 {
			assert.Equal(t, i < maxToldCodes-2, news(fmt.Sprint("CODE", i)))
		}
	})
}
