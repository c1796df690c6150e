package slidingwindow

import (
	"strings"

	"github.com/redis/rueidis"
)

// Names that the tests of this package need and users don't.
var (
	BoundKey     = boundKey
	EscapeKey    = escapeKey
	RedisKey     = redisKey
	TimeToLive   = timeToLive
	DecideScript = decideScript
	RefundScript = refundScript
)

// NewRedisStoreWithClock is NewRedisStore on a clock that the test sets: the hash
// clockKey, with the seconds in field s and the microseconds in field us. All else of
// the script is what users run.
func NewRedisStoreWithClock(client rueidis.Client, config RedisConfig, clockKey string) (*RedisStore, error) {
	onClock := func(script string) string {
		const clock = "redis.call('TIME')"
		if strings.Count(script, clock) != 1 {
			panic("a script must read the clock in one place")
		}
		return strings.Replace(script, clock, "redis.call('HMGET', '"+clockKey+"', 's', 'us')", 1)
	}
	return newRedisStore(client, config, onClock(decideScript), onClock(refundScript))
}

// Keys is how many keys the store remembers.
func (s *MemoryStore) Keys() int {
	keys := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		keys += len(s.shards[i].subjects)
		s.shards[i].mu.Unlock()
	}
	return keys
}

// Entries is how many log entries it has room for.
func (s *MemoryStore) Entries() int {
	entries := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		for _, subj := range s.shards[i].subjects {
			for _, log := range subj.logs {
				entries += len(log.ring)
			}
		}
		s.shards[i].mu.Unlock()
	}
	return entries
}
