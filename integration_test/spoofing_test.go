package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	spoofs       = 10_000
	spoofLimit   = 100
	inOrder      = 2 * spoofLimit // one after the other; the rest comes over several connections
	spoofWorkers = 4
)

// spoofed is a new address for each request.
func spoofed(i int) string { return fmt.Sprintf("198.%d.%d.%d", 18+i>>16, i>>8&255, i&255) }

// attack sends requests with the headers of forge(0), forge(1) and so on, and returns
// their statuses in the order of the first ones and how many of the rest had which.
func attack(t *testing.T, url string, requests int, forge func(i int) http.Header) (first []int, rest map[int]int) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: spoofWorkers}
	defer transport.CloseIdleConnections()
	send := func(i int) (status int, err error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return 0, err
		}
		request.Header = forge(i)
		response, err := transport.RoundTrip(request)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, response.Body) // else the connection is not used again
		if err := response.Body.Close(); err != nil {
			return 0, err
		}
		return response.StatusCode, err
	}

	for i := range inOrder {
		status, err := send(i)
		require.NoError(t, err)
		first = append(first, status)
	}
	rest = map[int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range spoofWorkers {
		wg.Go(func() {
			for i := inOrder + worker; i < requests; i += spoofWorkers {
				status, err := send(i)
				if !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				rest[status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return first, rest
}

// assertOneQuota checks that all requests of an attack had one quota between them.
func assertOneQuota(t *testing.T, url string, requests int, forge func(i int) http.Header) {
	t.Helper()
	first, rest := attack(t, url, requests, forge)
	for i, status := range first {
		want := http.StatusOK
		if i >= spoofLimit {
			want = http.StatusTooManyRequests
		}
		require.Equal(t, want, status, "request %d", i+1)
	}
	assert.Equal(t, requests-inOrder, rest[http.StatusTooManyRequests], "by status: %v", rest)
}

// keysUnder are the keys in Redis that begin with a prefix.
func keysUnder(t *testing.T, client rueidis.Client, prefix string) []string {
	t.Helper()
	var keys []string
	for _, node := range client.Nodes() {
		for cursor := uint64(0); ; {
			scan, err := node.Do(t.Context(), node.B().Scan().Cursor(cursor).Match(prefix+"*").Count(1000).Build()).AsScanEntry()
			require.NoError(t, err)
			keys = append(keys, scan.Elements...)
			if cursor = scan.Cursor; cursor == 0 {
				break
			}
		}
	}
	return keys
}

// By default no header makes a new client: not for the limit, and not in Redis, which an
// attacker could fill otherwise.
func TestSpoofedAddressesAreOneClient(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	prefix := redistest.Prefix(t, client)
	url := listen(t, application(t, redistest.URL(t), prefix, slidingwindow.Limit{Name: "api", Max: spoofLimit, Window: time.Hour})).URL

	// One header alone, too: which one is believed may depend on the others.
	alone := []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded"}
	assertOneQuota(t, url, spoofs+1000*len(alone), func(i int) http.Header {
		address := spoofed(i)
		all := http.Header{"X-Forwarded-For": {address}, "X-Real-Ip": {address}, "Forwarded": {"for=" + address}}
		if i < spoofs {
			return all
		}
		name := alone[i%len(alone)]
		return http.Header{name: all[name]}
	})
	assert.Equal(t, []string{prefix + ":{127.0.0.1}:api"}, keysUnder(t, client, prefix))
}

// Behind a proxy that is trusted, the address counts that the proxy has appended. What
// the client itself wrote into the header stands before it, and does not.
func TestSpoofedAddressesBeforeThatOfATrustedProxyAreOneClient(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	prefix := redistest.Prefix(t, client)
	e := application(t, redistest.URL(t), prefix, slidingwindow.Limit{Name: "api", Max: spoofLimit, Window: time.Hour})
	e.IPExtractor = echo.ExtractIPFromXFFHeader() // trusts loopback and private addresses
	url := listen(t, e).URL

	throughProxies := func(real string) func(i int) http.Header {
		return func(i int) http.Header {
			return http.Header{"X-Real-Ip": {spoofed(i)}, "Forwarded": {"for=" + spoofed(i)}, "X-Forwarded-For": [][]string{
				{spoofed(i) + ", " + real},
				{spoofed(i) + ", " + real + ", 10.0.0.5"},          // by way of a second proxy
				{spoofed(i) + ", 127.0.0.1, 10.0.0.1, " + real},    // as if trusted proxies had said so
				{fmt.Sprintf("no address %d, %s", i, real)},        // as if nothing in it could be trusted
				{spoofed(i), real},                                 // a header of the proxy's own
				{spoofed(i) + ", " + spoofed(i+1) + ", ::1", real}, // as long as it likes
			}[i%6]}
		}
	}
	assertOneQuota(t, url, spoofs, throughProxies("203.0.113.7"))
	assert.Equal(t, []string{prefix + ":{203.0.113.7}:api"}, keysUnder(t, client, prefix))

	// Another client has a quota of its own.
	assertOneQuota(t, url, inOrder, throughProxies("203.0.113.8"))
	assert.ElementsMatch(t, []string{prefix + ":{203.0.113.7}:api", prefix + ":{203.0.113.8}:api"}, keysUnder(t, client, prefix))
}
