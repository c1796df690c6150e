// Package integration_test tries the library the way it is deployed: several processes
// and several HTTP servers on one Redis, over every kind of connection, on Redis's own
// clock. What each promise means is tested, on a clock that is set, in package
// slidingwindow.
package integration_test

import (
	"context"
	"fmt"
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
	redistest.Main(m, inContainer)
}

// mustBeInContainer is the variable by which make test-containers asks for a container.
const mustBeInContainer = "REDIS_IN_CONTAINER"

// inContainer starts Redis in a container. Where there must be one, nothing takes its place.
func inContainer(ctx context.Context) (url string, stop func() error, err error) {
	url, stop, err = rediscontainer.Start(ctx)
	if os.Getenv(mustBeInContainer) == "" {
		return url, stop, err
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, mustBeInContainer, "is set:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "redis is in a container, started by Testcontainers")
	return url, stop, nil
}
