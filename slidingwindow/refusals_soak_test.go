package slidingwindow_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// instance is one process: a client, a store and some limiters of its own.
type instance struct {
	client   rueidis.Client
	store    *slidingwindow.RedisStore
	limiters []*slidingwindow.Limiter
}

// TestNoCachedRefusalThatRedisWouldAllow makes random calls from several instances, in real
// time, and stops them now and then to look for a cached refusal that Redis contradicts. It may
// contradict only while its word of a write is on its way: Redis sends that on the connection of
// the question, so one more answer on it says that the word has come.
func TestNoCachedRefusalThatRedisWouldAllow(t *testing.T) {
	t.Parallel()
	url := redistest.URL(t)
	prefix := redistest.Prefix(t, redistest.Client(t))
	limitSets := [][]slidingwindow.Limit{
		{{Name: "a", Max: 3, Window: 200 * time.Millisecond}},
		{{Name: "a", Max: 5, Window: 200 * time.Millisecond}},
		{{Name: "a", Max: 3, Window: 50 * time.Millisecond}},
		{{Name: "b", Max: 4, Window: 100 * time.Millisecond}},
		{{Name: "a", Max: 4, Window: 100 * time.Millisecond}, {Name: "b", Max: 3, Window: 20 * time.Millisecond}},
		{{Name: "b", Max: 4, Window: 150 * time.Millisecond}, {Name: "a", Max: 6, Window: 200 * time.Millisecond}},
	}
	instances := make([]instance, 4)
	for i := range instances {
		client := redistest.Connect(t, url)
		instances[i] = instance{client: client, store: redisStore(t, client, prefix)}
		for _, limits := range limitSets {
			instances[i].limiters = append(instances[i].limiters, newLimiter(t, instances[i].store, limits...))
		}
	}
	direct := redisStore(t, redistest.Client(t, func(o *rueidis.ClientOption) { o.DisableCache = true }), prefix)
	keys := []string{"k0", "k1", "k2"}

	var calling sync.RWMutex // held for reading by each call, for writing by each look
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Go(func() {
			in := instances[w%len(instances)]
			random := rand.New(rand.NewPCG(uint64(w), 1))
			taken := map[string]slidingwindow.Decision{}
			for {
				select {
				case <-stop:
					return
				default:
				}
				key, l := keys[random.IntN(len(keys))], in.limiters[random.IntN(len(in.limiters))]
				calling.RLock()
				var err error
				switch n := random.IntN(100); {
				case n < 2:
					err = l.Reset(t.Context(), key)
				case n < 8:
					err = l.Refund(t.Context(), key, taken[key])
				default:
					var d slidingwindow.Decision
					if d, err = l.AllowN(t.Context(), key, 1+int64(n%3)); d.Allowed {
						taken[key] = d
					}
				}
				calling.RUnlock()
				if !assert.NoError(t, err) {
					return
				}
			}
		})
	}

	random := rand.New(rand.NewPCG(7, 7))
	looked, cached, late := 0, 0, 0
	for ; looked < 5000 && cached < 6000; looked++ {
		in, other := instances[random.IntN(len(instances))], instances[random.IntN(len(instances))]
		set := random.IntN(len(limitSets))
		l, key, n := in.limiters[set], keys[random.IntN(len(keys))], 1+random.Int64N(3)
		ask := slidingwindow.Request{Key: key, Limits: l.Limits(), Cost: n, Peek: true}
		calling.Lock()
		for range 10 {
			switch random.IntN(12) {
			case 0:
				require.NoError(t, l.Reset(t.Context(), key))
				require.NotEqual(t, slidingwindow.ReasonCached, takeN(t, l, key, n).Reason, "after a reset by the same instance")
			case 1:
				require.NoError(t, other.limiters[set].Reset(t.Context(), key))
				takeN(t, other.limiters[set], key, 1)
			}
			d := takeN(t, l, key, n)
			if d.Reason != slidingwindow.ReasonCached {
				continue
			}
			cached++
			redis, err := direct.Take(t.Context(), ask)
			require.NoError(t, err)
			if !redis.Allowed && retryAfter(redis, d.Limit) <= d.RetryAfter {
				continue
			}
			late++
			// Another key of the same slot is asked for on the same connection.
			answer := slidingwindow.RedisKey(prefix, key, "answer "+strconv.Itoa(late))
			require.NoError(t, in.client.DoCache(t.Context(), in.client.B().Zcard().Key(answer).Cache(), time.Minute).Error())
			time.Sleep(slidingwindow.Unlooked)
			if again := takeN(t, l, key, n); again.Reason == slidingwindow.ReasonCached {
				require.False(t, redis.Allowed, "limits %v, cost %d: %+v, then %+v", l.Limits(), n, d, again)
				redis, err = direct.Take(t.Context(), ask)
				require.NoError(t, err)
				require.LessOrEqual(t, retryAfter(redis, again.Limit), again.RetryAfter, "limits %v, cost %d", l.Limits(), n)
			}
		}
		calling.Unlock()
	}
	close(stop)
	wg.Wait()
	t.Logf("%d looks, %d cached refusals, %d before the word of a write had come", looked, cached, late)
	assert.Positive(t, cached)
}

// retryAfter is that of one of the limits: Redis tells of writes to the log of the one that
// refused, and the others may have come to refuse for longer.
func retryAfter(d slidingwindow.Decision, of slidingwindow.Limit) time.Duration {
	for _, s := range d.Statuses() {
		if s.Limit == of {
			return s.RetryAfter
		}
	}
	return 0
}
