package house_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

func readmeClient() (rueidis.Client, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:         []string{"redis.example:6379"},
		DialCtxFn:           redisconn.Dial,
		ConnLifetime:        time.Minute,
		ReadBufferEachConn:  32 << 10,
		WriteBufferEachConn: 32 << 10,
		RingScaleEachConn:   8, // 256 commands may wait
		ClientSetInfo:       rueidis.DisableClientSetInfo,
	})
	return client, err
}

var _ = readmeClient // it is compiled; there is no redis.example

func TestLeasesCodeOfItsPageWorks(t *testing.T) {
	t.Parallel()
	require.NoError(t, readmeLease(t.Context(), memory.New()))
}

func readmeLease(ctx context.Context, store slidingwindow.Store) error {
	leased, err := lease.New(store, lease.Config{}) // over any store; Close it after the last call
	if err != nil {
		return err
	}
	limiter, err := slidingwindow.New(leased, slidingwindow.PerSecond(100_000))
	if err != nil {
		return err
	}
	if _, err := limiter.Allow(ctx, "tenant:9"); err != nil {
		return err
	}
	return leased.Close()
}

func TestWhoamiTellsTheKey(t *testing.T) {
	t.Parallel()
	_, proxies, err := net.ParseCIDR("10.0.0.0/8")
	require.NoError(t, err)
	e := echo.New()
	e.IPExtractor = echo.ExtractIPFromXFFHeader(echo.TrustIPRange(proxies)) // X-Forwarded-For, from the right
	byHeader := echomw.KeyByIPHeader("CF-Connecting-IP", 0)                 // one header, from a proxy that sets it itself
	e.GET("/whoami", func(c echo.Context) error {
		key, err := echomw.KeyByIP(0).Key(c) // or the Keyer that you use
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, key+"\n")
	})
	req := httptest.NewRequest(http.MethodGet, "/whoami", nil)
	req.RemoteAddr = "10.1.2.3:4711"
	req.Header.Set("X-Forwarded-For", "203.0.113.1, 198.51.100.7")
	req.Header.Set("CF-Connecting-IP", "198.51.100.9")
	answer := httptest.NewRecorder()
	e.ServeHTTP(answer, req)
	assert.Equal(t, "198.51.100.7\n", answer.Body.String())
	key, err := byHeader.Key(e.NewContext(req, answer))
	require.NoError(t, err)
	assert.Equal(t, "198.51.100.9", key)
}

// limiterOf returns the limiter of a plan. plans is github.com/hashicorp/golang-lru/v2.
func limiterOf(limiter *slidingwindow.Limiter, plans *lru.Cache[slidingwindow.Limit, *slidingwindow.Limiter], plan slidingwindow.Limit) (*slidingwindow.Limiter, error) {
	if known, ok := plans.Get(plan); ok {
		return known, nil
	}
	made, err := limiter.WithLimits(plan)
	if err == nil {
		plans.Add(plan, made)
	}
	return made, err
}

func TestLimitersOfPlansAreKept(t *testing.T) {
	t.Parallel()
	plans, err := lru.New[slidingwindow.Limit, *slidingwindow.Limiter](2)
	require.NoError(t, err)
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(1))
	free, err := limiterOf(limiter, plans, slidingwindow.Limit{Name: "api", Max: 1, Window: time.Hour})
	require.NoError(t, err)
	again, err := limiterOf(limiter, plans, slidingwindow.Limit{Name: "api", Max: 1, Window: time.Hour})
	require.NoError(t, err)
	assert.Same(t, free, again)
	_, err = limiterOf(limiter, plans, slidingwindow.Limit{})
	require.ErrorIs(t, err, slidingwindow.ErrInvalidLimit)
}
