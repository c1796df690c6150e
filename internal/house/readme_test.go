package house_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// The functions readme... are the code blocks of the README, after the first, with what
// they need around them.

func readmeLimits(ctx context.Context, store slidingwindow.Store) error {
	limiter, err := slidingwindow.New(store,
		slidingwindow.Limit{Name: "burst", Max: 10, Window: time.Second},
		slidingwindow.Limit{Name: "daily", Max: 5_000, Window: 24 * time.Hour})
	if err != nil {
		return err
	}
	d, err := limiter.AllowN(ctx, "tenant:9", 3) // all three units, or none
	if err != nil {
		return err // no decision, which is not a refusal
	}
	if !d.Allowed {
		return fmt.Errorf("refused by %s: retry in %v", d.Limit.Name, d.RetryAfter)
	}
	return nil
}

func readmeEcho(e *echo.Echo, limiter, logins *slidingwindow.Limiter, login echo.HandlerFunc) {
	e.Use(echomw.RateLimiter(limiter)) // by IP address

	e.POST("/login", login, echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: logins,
		KeyFunc: echomw.Join(echomw.KeyByIP(64), echomw.KeyByRoute()),
		Message: echo.Map{"success": false, "message": "Too many requests, please try again later."},
	}))
}

func readmeConfiguration(ctx context.Context) error {
	cfg, err := config.Load(config.Sources{YAML: "config.yaml", DotEnv: ".env"}) // then the environment
	if err != nil {
		return err // all that is wrong, each with its key and where it came from
	}
	client, err := cfg.Redis.Connect(ctx) // one client for the whole program
	if err != nil {
		return err // cannot reach redis at 127.0.0.1:6379: connection refused
	}
	defer client.Close()
	store, err := slidingwindow.NewRedisStore(client, cfg.Redis.Store())
	if err != nil {
		return err
	}
	api, err := cfg.Limit("api") // limits.api.max and limits.api.window
	if err != nil {
		return err
	}
	limiter, err := slidingwindow.New(store, api.Limit)
	if err != nil {
		return err
	}
	_, err = limiter.Peek(ctx, "anybody")
	return err
}

func TestReadmesCodeWorks(t *testing.T) {
	store, err := slidingwindow.NewMemoryStore(slidingwindow.MemoryConfig{})
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, readmeLimits(t.Context(), store))
	}
	assert.ErrorContains(t, readmeLimits(t.Context(), store), "refused by burst: retry in ")

	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(100))
	require.NoError(t, err)
	logins, err := slidingwindow.New(store, slidingwindow.PerMinute(1))
	require.NoError(t, err)
	e := echo.New()
	readmeEcho(e, limiter, logins, func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	var last *httptest.ResponseRecorder
	for range 2 {
		last = httptest.NewRecorder()
		e.ServeHTTP(last, httptest.NewRequest(http.MethodPost, "/login", nil))
	}
	assert.Equal(t, http.StatusTooManyRequests, last.Code)
	assert.JSONEq(t, `{"success":false,"message":"Too many requests, please try again later."}`, last.Body.String())

	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("config.yaml", []byte("limits: {api: {max: 100, window: 15m}}\n"), 0o600))
	require.NoError(t, os.WriteFile(".env", []byte("REDIS_PREFIX=readme\n"), 0o600))
	t.Setenv("REDIS_URL", redistest.URL(t))
	require.NoError(t, readmeConfiguration(t.Context()))
}

func TestReadmesCodeIsThisFiles(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	source, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 4)
	for _, block := range blocks[1:] {
		assert.Contains(t, unindented(string(source)), unindented(block[1]))
	}
}

func unindented(code string) string {
	lines := strings.Split(code, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, "\t")
	}
	return strings.Join(lines, "\n")
}
