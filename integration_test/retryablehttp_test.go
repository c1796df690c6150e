package integration_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// statuses are those of a server's responses, in their order.
type statuses struct {
	mu   sync.Mutex
	seen []int
}

// record is the outermost middleware: it answers errors itself, to know the status.
func (s *statuses) record(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := next(c); err != nil {
			c.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, c.Response().Status)
		return nil
	}
}

func (s *statuses) all() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.seen...)
}

// A client that obeys Retry-After is refused once, and let in at its first retry. That it
// obeyed shows in what the server saw: on its own, this client would retry within
// milliseconds and be refused again, until it gives up.
func TestRetryableHTTPIsLetInAtItsFirstRetry(t *testing.T) {
	t.Parallel()
	var server statuses
	prefix := redistest.Prefix(t, redistest.Client(t))
	e := application(t, redistest.URL(t), prefix, slidingwindow.Limit{Name: "api", Max: 2, Window: 2 * time.Second})
	e.Pre(server.record)
	url := listen(t, e).URL

	var told []string
	var waits []time.Duration
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryWaitMin, client.RetryWaitMax = time.Millisecond, 8*time.Millisecond
	client.Backoff = func(least, most time.Duration, attempt int, response *http.Response) time.Duration {
		wait := retryablehttp.DefaultBackoff(least, most, attempt, response)
		if assert.NotNil(t, response, "the server answered") {
			told = append(told, response.Header.Get("Retry-After"))
		}
		waits = append(waits, wait)
		return wait
	}
	for range 3 {
		request, err := retryablehttp.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusOK, response.StatusCode)
	}

	assert.Equal(t, []int{200, 200, 429, 200}, server.all(), "refused once, then allowed")
	require.Len(t, told, 1)
	seconds, err := strconv.Atoi(told[0])
	require.NoError(t, err, "whole seconds")
	assert.Equal(t, []time.Duration{time.Duration(seconds) * time.Second}, waits)
}
