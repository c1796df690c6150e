package slidingwindow

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// cacheCheck is one look into the client's cache. It is made by a goroutine of its own: a
// client that has lost its connection makes all who come wait until it has another, or one
// of them has given up, whatever their contexts say.
type cacheCheck struct {
	question rueidis.Cacheable
	result   rueidis.RedisResult
	done     chan struct{} // gets one value when there is a result

	patience *time.Timer // of who waits
}

var checkPool = sync.Pool{New: func() any { return &cacheCheck{done: make(chan struct{}, 1), patience: stoppedTimer()} }}

// lookUp asks through the client's cache. Its error is final: there is no time left.
func (s *RedisStore) lookUp(ctx context.Context, question rueidis.Cacheable) (rueidis.RedisResult, error) {
	k := checkPool.Get().(*cacheCheck)
	k.question = question
	go k.run(s.client, s.timeout)
	k.patience.Reset(s.timeout)
	select {
	case <-k.done:
		k.patience.Stop()
		result := k.result
		k.question, k.result = rueidis.Cacheable{}, rueidis.RedisResult{}
		checkPool.Put(k)
		return result, nil
	case <-ctx.Done():
		k.patience.Stop()
		return rueidis.RedisResult{}, ContextEnded(ctx)
	case <-k.patience.C:
		if hasEnded(ctx) {
			return rueidis.RedisResult{}, ContextEnded(ctx)
		}
		return rueidis.RedisResult{}, lateFailure(s.timeout, context.DeadlineExceeded)
	}
}

func (k *cacheCheck) run(client rueidis.Client, timeout time.Duration) {
	// Not by the caller's context: one that ends would also end the connecting that other
	// callers wait for.
	bound := newBound(context.Background(), time.Now().Add(timeout), nil)
	k.result = client.DoCache(bound, k.question, cacheTrust)
	bound.stop()
	k.done <- struct{}{}
}
