package redistest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const startTimeout = 90 * time.Second // a first run may pull a container's image

// A Starter starts a Redis and returns its URL, and how to end it.
type Starter func(ctx context.Context) (url string, stop func() error, err error)

// server is the one Redis of this test process, started when first asked for.
var server struct {
	once     sync.Once
	starters []Starter
	url      string
	err      error
	stop     func() error
}

// Main runs the tests of a package and then ends the Redis that they had, if one was
// started. The starters are tried in their order, after REDIS_URL and before a
// redis-server process. It does not return.
func Main(m *testing.M, starters ...Starter) {
	server.starters = starters
	code := m.Run()
	if server.stop != nil {
		if err := server.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "redistest: cannot end redis:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// URL is the REDIS_URL of the Redis that all tests of this process share. It may be the
// developer's own: use keys that begin with [Prefix], and change no settings; a test
// that must starts a server of its own with package redisserver.
func URL(t testing.TB) string {
	t.Helper()
	server.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		server.url, server.stop, server.err = start(ctx)
	})
	require.NoError(t, server.err)
	return server.url
}

// Client is a client of that Redis, closed when the test ends.
func Client(t testing.TB, customize ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	return Connect(t, URL(t), customize...)
}

// Connect is a client of the server at a URL, closed when the test ends.
func Connect(t testing.TB, url string, customize ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	require.NoError(t, err)
	for _, f := range customize {
		f(&option)
	}
	client, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// Prefix is a key prefix that no other test has. The keys that begin with it are
// removed when the test ends.
func Prefix(t testing.TB, client rueidis.Client) string {
	t.Helper()
	prefix := "test-" + rand.Text()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, node := range client.Nodes() {
			removeKeys(ctx, t, node, prefix)
		}
	})
	return prefix
}

func removeKeys(ctx context.Context, t testing.TB, node rueidis.Client, prefix string) {
	for cursor := uint64(0); ; {
		scan, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(prefix+"*").Count(1000).Build()).AsScanEntry()
		if err != nil {
			t.Logf("redistest: the keys of %s stay: %v", prefix, err) // a test may have ended the server
			return
		}
		for _, key := range scan.Elements {
			node.Do(ctx, node.B().Unlink().Key(key).Build())
		}
		if cursor = scan.Cursor; cursor == 0 {
			return
		}
	}
}

func start(ctx context.Context) (url string, stop func() error, err error) {
	if url := os.Getenv("REDIS_URL"); url != "" && !strings.HasPrefix(url, "memory:") {
		return url, nil, nil
	}
	var why []error
	starters := append(slices.Clone(server.starters), process)
	if os.Getenv(redisserver.Servers) != "" {
		starters = []Starter{process}
	}
	for _, start := range starters {
		url, stop, err := start(ctx)
		if err == nil {
			fmt.Fprintln(os.Stderr, "redistest: redis at", url)
			return url, stop, nil
		}
		fmt.Fprintln(os.Stderr, "redistest:", err)
		why = append(why, err)
	}
	return "", nil, fmt.Errorf("no redis for the tests: %w", errors.Join(why...))
}

func process(ctx context.Context) (url string, stop func() error, err error) {
	server, err := redisserver.Start(ctx)
	if err != nil {
		return "", nil, err
	}
	version, err := redisserver.Version(ctx)
	if err != nil {
		return "", nil, errors.Join(err, server.Stop())
	}
	fmt.Fprintln(os.Stderr, "redistest:", version)
	return server.URL(), server.Stop, nil
}
