// Package integration_test tries the library the way it is deployed: several processes
// and several HTTP servers on one Redis, over every kind of connection, on Redis's own
// clock. What each promise means is tested, on a clock that is set, in package
// slidingwindow.
package integration_test

import (
	"os"
	"testing"

	"github.com/seed-e8747a6b/ratelimit/integration_test/rediscontainer"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
)

// workers are what this program is run again for, by the variable that holds the task.
var workers = map[string]func(task string) (code int){workerEnv: work}

func TestMain(m *testing.M) {
	for env, work := range workers {
		if task := os.Getenv(env); task != "" {
			os.Exit(work(task))
		}
	}
	redistest.Main(m, rediscontainer.Start)
}
