package slidingwindow

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The replies of servers and proxies that repeat what they were asked, or may.
func TestRepliesAreCutBeforeAKey(t *testing.T) {
	for reply, want := range map[string]string{
		// Redis 7.0 and later; Redis 6 and KeyDB quote otherwise.
		"unknown command 'EVALSHA', with args beginning with: 'e0f1' '1' 'rl:{live-key}:api' 'take' ": "unknown command 'EVALSHA' ...",
		"ERR unknown command `EVALSHA`, with args beginning with: `e0f1`, `1`, `rl:{live-key}:api`, ": "unknown command `EVALSHA` ...",
		// Redis 7.2 and later, Valkey. The second is what ACL DRYRUN says, and some proxies.
		"NOPERM No permissions to access a key":                                                        "NOPERM No permissions to access a key",
		"NOPERM User limiter has no permissions to access the 'rl:{live-key}:api' key":                 "NOPERM User limiter has no permissions to access the ...",
		"ACL failure in script: User limiter has no permissions to access the 'rl:{live-key}:api' key": "ACL failure in script: User limiter has no permissions to access the ...",
		"NOPERM User limiter has no permissions to run the 'evalsha' command":                          "NOPERM User limiter has no permissions to run the 'evalsha' command",
		"wrong number of arguments for 'evalsha' command":                                              "wrong number of arguments for 'evalsha' command",
		"wrong number of arguments for 'evalsha' command with 'rl:{live-key}:api'":                     "wrong number of arguments for 'evalsha' command with ...",
		"rl:{live-key}:api is not served here":                                                         "...",
		"MOVED 12182 127.0.0.1:7342":                                                                   "MOVED 12182 127.0.0.1:7342",
		"READONLY You can't write against a read only replica.":                                        "READONLY You can't write against a read only replica.",
	} {
		got := newReplyError(errorReply(t, reply))
		assert.Equal(t, want, got.Text)
		assert.NotContains(t, redisFailure(errorReply(t, reply)).Error(), "live-key")
	}
	assert.Nil(t, newReplyError(errors.New("unknown command of nobody")))
}

func TestRejectionsAreOfOneCall(t *testing.T) {
	for reply, want := range map[string]bool{
		"NOPERM No permissions to access a key":                         true,
		"TRYAGAIN Multiple keys request during rehashing of slot":       true,
		"MOVED 12182 127.0.0.1:7342":                                    true,
		"CROSSSLOT Keys in request don't hash to the same slot":         true,
		"unknown command 'EVALSHA_RO'":                                  true,
		"ERR unknown command 'EVALSHA_RO'":                              true,
		"wrong number of arguments for 'evalsha' command":               true,
		"ACL failure in script: User limiter has no permissions":        true,
		"The user executing the script can't run this command":          true,
		"Unknown Redis command called from script script: e0f1":         true,
		"READONLY You can't write against a read only replica.":         false,
		"OOM command not allowed when used memory > 'maxmemory'.":       false,
		"NOREPLICAS Not enough good replicas to write.":                 false,
		"CLUSTERDOWN The cluster is down":                               false,
		"LOADING Redis is loading the dataset in memory":                false,
		"MASTERDOWN Link with MASTER is down":                           false,
		"BUSY Redis is busy running a script.":                          false,
		"NOAUTH Authentication required.":                               false,
		"WRONGPASS invalid username-password pair or user is disabled.": false,
		"MISCONF Redis is configured to save RDB snapshots":             false,
		"max number of clients reached":                                 false,
		"DENIED Redis is running in protected mode":                     false,
	} {
		err := redisFailure(errorReply(t, reply))
		assert.ErrorIs(t, err, ErrStoreUnavailable)
		assert.Equal(t, want, errors.Is(err, ErrCallRejected), reply)
	}
}
