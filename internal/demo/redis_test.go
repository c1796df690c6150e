package main

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
)

func found(url string) func(context.Context, func(string)) (redis, error) {
	return func(context.Context, func(string)) (redis, error) {
		return redis{url: url, what: "at " + url, stop: func() error { return nil }}, nil
	}
}

func none(why string) func(context.Context, func(string)) (redis, error) {
	return func(context.Context, func(string)) (redis, error) { return redis{}, errors.New(why) }
}

func TestBringUpTakesTheFirstThatWorksAndSaysWhyNotTheOthers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	redis, err := bringUp(t.Context(), &screen{out: &out}, []way{
		{"Docker", none("not installed\nand more")}, {"redis-server", found("redis://a")}, {"memory", found("memory://")},
	})
	require.NoError(t, err)
	assert.Equal(t, "redis://a", redis.url)
	assert.Equal(t, "  Docker        no: not installed\n  Redis         at redis://a\n", out.String())
}

func TestBringUpEndsWhatItStartedWhenInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := false
	_, err := bringUp(ctx, &screen{out: &bytes.Buffer{}}, []way{{"Docker", func(context.Context, func(string)) (redis, error) {
		cancel()
		return redis{stop: func() error { stopped = true; return nil }}, nil
	}}})
	assert.ErrorIs(t, err, context.Canceled)
	assert.True(t, stopped)
}

func settings(t *testing.T, url string) config.Redis {
	t.Helper()
	cfg, err := load([]string{setRedisURL + url}, "")
	require.NoError(t, err)
	return cfg.Redis
}

func TestGivenRedisIsTheOnlyWay(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	for url, want := range map[string]string{
		"redis://user:" + password + "@redis.test:6379/1": "redis://xxxxx@redis.test:6379/1, from REDIS_URL",
		"redis://redis.test":                              "redis://redis.test, from REDIS_URL",
		"unix://:" + password + "@/run/redis.sock":        "unix://xxxxx@/run/redis.sock, from REDIS_URL",
	} {
		ways := ways(settings(t, url), "")
		require.Len(t, ways, 1)
		redis, err := ways[0].find(t.Context(), nil)
		require.NoError(t, err)
		assert.Equal(t, []string{setRedisURL + url}, instanceEnviron([]string{setRedisURL + url}, redis))
		assert.Equal(t, want, redis.what)
		assert.False(t, redis.ours)
		assert.False(t, redis.memory)
	}
}

// However it is spelled, it is one process.
func TestGivenMemoryIsNoRedis(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"memory://", "MEMORY://"} {
		ways := ways(settings(t, url), "")
		require.Len(t, ways, 1)
		redis, err := ways[0].find(t.Context(), nil)
		require.NoError(t, err)
		assert.True(t, redis.memory)
	}
}

func TestMemoryIsTheLastWay(t *testing.T) {
	t.Parallel()
	all := ways(settings(t, ""), "")
	require.Greater(t, len(all), 1)
	redis, err := all[len(all)-1].find(t.Context(), nil)
	require.NoError(t, err)
	assert.True(t, redis.memory)
	assert.Equal(t, []string{setRedisURL + memoryURL}, instanceEnviron(nil, redis))
}

func TestDemoEnvironKeepsOthersSettingsOut(t *testing.T) {
	t.Parallel()
	environ := []string{"HOME=/h", "LIMITS_API_MAX=7", "LIMITS_X_MAX=1", "RESPONSE_HEADERS=none", "CLIENT_KEY_SECRET=short", "REDIS_URL=redis://b", "REDIS_PASSWORD=p"}

	ours := demoEnviron(environ, redis{url: "redis://a", ours: true})
	assert.Contains(t, ours, "HOME=/h")
	assert.Contains(t, ours, "REDIS_URL=redis://a")
	assert.NotContains(t, ours, "REDIS_PASSWORD=p")
	assert.NotContains(t, ours, "REDIS_URL=redis://b")
	assert.NotContains(t, ours, "LIMITS_API_MAX=7")
	assert.NotContains(t, ours, "LIMITS_X_MAX=1")
	assert.NotContains(t, ours, "RESPONSE_HEADERS=none")
	assert.NotContains(t, ours, "CLIENT_KEY_SECRET=short")
	assert.Contains(t, ours, "LIMITS_API_MAX=10")

	given := demoEnviron(environ, redis{})
	assert.Contains(t, given, "REDIS_PASSWORD=p")
	assert.Contains(t, given, "REDIS_URL=redis://b")
}
