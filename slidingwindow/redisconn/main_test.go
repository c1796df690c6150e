package redisconn_test

import (
	"os"
	"testing"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
)

// A panic of the client ends the process. So what may bring one is tried in a process of its
// own, which is this program with a job in its environment.
func TestMain(m *testing.M) {
	if job := os.Getenv(jobVariable); job != "" {
		meet(job)
		return
	}
	redistest.Main(m)
}
