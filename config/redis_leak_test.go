package config_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// lockedBuffer is written to by the client's goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// everyError is the text of an error and of all that it wraps, in every notation.
func everyError(err error) string {
	if err == nil {
		return ""
	}
	text := fmt.Sprintf("%s|%v|%+v|%#v|%q\n", err, err, err, err, err)
	switch err := err.(type) { //nolint:errorlint // this walks the tree itself
	case interface{ Unwrap() error }:
		return text + everyError(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range err.Unwrap() {
			text += everyError(one)
		}
	}
	return text
}

// The password is changed under a program that runs: no error of a call and no record of a
// new login tells the old one or the user.
func TestCallsWithAPasswordThatBecameWrongTellNoSecret(t *testing.T) {
	t.Parallel()
	const user, password = "topuser-marker", "s3cret-marker"
	server, err := redisserver.Start(t.Context(), "--user", user, "on", ">"+password, "~*", "&*", "+@all")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	var out lockedBuffer
	c, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=redis://" + user + ":" + password + "@" + server.Addr(), "REDIS_TIMEOUT=10s"}})
	require.NoError(t, err)
	c.Redis.Logger = slog.New(slog.NewTextHandler(&out, nil))
	client, err := c.Redis.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	store, err := slidingwindow.NewRedisStore(client, c.Redis.StoreConfig())
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(1))
	require.NoError(t, err)
	taken, err := limiter.Allow(t.Context(), "k")
	require.NoError(t, err)

	admin, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true})
	require.NoError(t, err)
	defer admin.Close()
	require.NoError(t, admin.Do(t.Context(), admin.B().Arbitrary("ACL", "SETUSER", user, "resetpass", ">another").Build()).Error())
	require.NoError(t, admin.Do(t.Context(), admin.B().Arbitrary("CLIENT", "KILL", "USER", user).Build()).Error())

	failed := 0
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, allowErr := limiter.Allow(t.Context(), "other")
		_, peekErr := limiter.Peek(ctx, "k")
		all := errors.Join(allowErr, peekErr, limiter.Refund(ctx, "k", taken), limiter.Reset(ctx, "k"))
		if all != nil {
			failed++
		}
		_, _ = out.Write([]byte(everyError(all)))
		return failed > 3 && strings.Contains(out.String(), "redis connection failed")
	}, time.Minute, 10*time.Millisecond)
	assert.NotContains(t, out.String(), "marker")
	assert.Contains(t, out.String(), "WRONGPASS")
}

// What a Secret and a URL cannot do is hide from who reads the memory of the process: to
// connect again the password must be there. A dump of the heap has it, and so has a core
// file. The profiles of net/http/pprof, which are in no need of protection on its account,
// have not. Not parallel, as a dump stops the world.
func TestDumpsOfTheHeapHoldThePasswordAndProfilesDoNot(t *testing.T) {
	password := func() string { return strings.Join([]string{"s3cret", "heap", "marker"}, "-") } // nothing else keeps it
	c, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=redis://:" + password() + "@h", "CLIENT_KEY_SECRET=key-" + password()}})
	require.NoError(t, err)
	runtime.GC()

	var profiles bytes.Buffer
	for _, profile := range pprof.Profiles() {
		for _, verbosity := range []int{1, 2} {
			require.NoError(t, profile.WriteTo(&profiles, verbosity))
		}
	}
	assert.NotEmpty(t, profiles.Bytes())
	assert.NotContains(t, profiles.String(), password())

	file, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	debug.WriteHeapDump(file.Fd())
	dump, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.True(t, bytes.Contains(dump, []byte(password())), "SECURITY.md says that a dump is as secret as the password")
	runtime.KeepAlive(c)
}
