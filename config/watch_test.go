package config_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const aLongTime = time.Minute

// watched is a Config that is watched until the test ends.
type watched struct {
	applied chan *config.Config
	fault   chan error // that apply returns, if there is one

	mu  sync.Mutex
	log strings.Builder
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *watched) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func watch(t *testing.T, sources config.Sources) *watched {
	t.Helper()
	c, err := config.Load(sources)
	require.NoError(t, err)
	w := &watched{applied: make(chan *config.Config, 100), fault: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Watch(ctx, slog.New(slog.NewTextHandler(w, nil)), func(next *config.Config) error {
			select {
			case err := <-w.fault:
				return err
			default:
				w.applied <- next
				return nil
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(aLongTime):
			t.Error("Watch did not return")
		}
	})
	return w
}

// next waits until a Config with that Max of the limit api is applied, and returns it.
func (w *watched) next(t *testing.T, units int64) *config.Config {
	t.Helper()
	for {
		select {
		case c := <-w.applied:
			if c.Limits["api"].Max == units {
				return c
			}
		case <-time.After(aLongTime):
			require.Fail(t, "no change was seen", w.logged())
		}
	}
}

func (w *watched) waitForLog(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(w.logged(), text) }, aLongTime, time.Millisecond, text)
}

func apiLimit(units int64) string {
	return fmt.Sprintf("limits:\n  api:\n    max: %d\n    window: 15m\n", units)
}

// write writes a file in place.
func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// replace writes a file that nobody sees half of.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	require.NoError(t, os.Rename(path+".new", path))
}

// The ways in which files change: in place, and as editors and Kubernetes do it.
func TestWatchSeesEachWayOfChangingAFile(t *testing.T) {
	t.Parallel()
	rename := func(t *testing.T, from, to string) { require.NoError(t, os.Rename(from, to)) }
	for name, change := range map[string]func(t *testing.T, path, text string){
		"in place":                    write,
		"a new file is moved over it": replace,
		"it is moved away, and a new one written": func(t *testing.T, path, text string) {
			rename(t, path, path+"~")
			write(t, path, text)
		},
		"it is removed, and a new one written": func(t *testing.T, path, text string) {
			require.NoError(t, os.Remove(path))
			write(t, path, text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "limits.yaml")
			write(t, path, apiLimit(1))
			w := watch(t, config.Sources{YAML: path, Environ: env()})
			for units := range int64(3) { // also a second and a third time
				change(t, path, apiLimit(10+units))
				w.next(t, 10+units)
			}
		})
	}
}

func TestWatchFollowsTheLinksOfAConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "limits.yaml")
	publish := func(version string, units int64) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "limits.yaml"), apiLimit(units))
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	publish("..1", 1)
	require.NoError(t, os.Symlink(filepath.Join("..data", "limits.yaml"), path))
	w := watch(t, config.Sources{YAML: path, Environ: env()})
	for version := int64(2); version < 5; version++ {
		publish(fmt.Sprint("..", version), version)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, fmt.Sprint("..", version-1))))
		w.next(t, version)
	}
}

func TestWatchFollowsALinkToAnotherFolder(t *testing.T) {
	t.Parallel()
	target, path := filepath.Join(t.TempDir(), "shared.yaml"), filepath.Join(t.TempDir(), "limits.yaml")
	write(t, target, apiLimit(1))
	require.NoError(t, os.Symlink(target, path))
	w := watch(t, config.Sources{YAML: path, Environ: env()})
	write(t, target, apiLimit(2))
	w.next(t, 2)
}

func TestWatchSeesWhatChangedSinceItWasLoaded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "limits.yaml")
	write(t, path, apiLimit(1))
	c, err := config.Load(config.Sources{YAML: path, Environ: env()})
	require.NoError(t, err)
	write(t, path, apiLimit(2))
	ctx, cancel := context.WithCancel(t.Context())
	c.Watch(ctx, slog.New(slog.DiscardHandler), func(next *config.Config) error {
		assert.EqualValues(t, 2, next.Limits["api"].Max)
		cancel()
		return nil
	})
}

func TestWatchReadsAllSourcesAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	yaml, dotEnv := filepath.Join(dir, "limits.yaml"), filepath.Join(dir, ".env")
	write(t, yaml, apiLimit(1))
	w := watch(t, config.Sources{YAML: yaml, DotEnv: dotEnv, Environ: env("LIMITS_API_WINDOW=1h"), Defaults: map[string]any{"limits.login.max": 5, "limits.login.window": "10m"}})
	write(t, yaml, apiLimit(2)+"    mode: shadow\n")
	c := w.next(t, 2)
	assert.Equal(t, map[string]config.Limit{
		"api":   {Limit: slidingwindow.Limit{Name: "api", Max: 2, Window: time.Hour}, Mode: slidingwindow.ModeShadow},
		"login": limit("login", 5, 10*time.Minute),
	}, c.Limits)
	write(t, dotEnv, "LIMITS_API_MAX=3\n") // there was none before
	w.next(t, 3)
}

func TestWatchKeepsTheSettingsWhileAFileIsBad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "limits.yaml")
	replace(t, path, apiLimit(1))
	w := watch(t, config.Sources{YAML: path, Environ: env()})
	replace(t, path, apiLimit(-7))
	w.waitForLog(t, "limits.api.max")
	replace(t, path, "limits: [")
	w.waitForLog(t, "not valid YAML")
	assert.Empty(t, w.applied)
	replace(t, path, apiLimit(2))
	w.next(t, 2)
	assert.Empty(t, w.applied, "nothing but what is good")
	assert.Equal(t, 1, strings.Count(w.logged(), "is -7; allowed"), w.logged())
}

func TestWatchKeepsTheSettingsThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "limits.yaml")
	replace(t, path, apiLimit(1))
	w := watch(t, config.Sources{YAML: path, Environ: env()})
	w.fault <- errors.New("there is no limit named login")
	replace(t, path, apiLimit(2))
	w.waitForLog(t, "there is no limit named login")
	replace(t, path, apiLimit(2)+"\n") // the same values: still to be applied
	w.next(t, 2)
}

func TestWatchLeavesWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "limits.yaml")
	replace(t, path, apiLimit(1)+"port: 3000\nredis:\n  url: memory://\n")
	w := watch(t, config.Sources{YAML: path, Environ: []string{}})
	replace(t, path, apiLimit(2)+"port: 4000\nredis:\n  url: redis://user:hunter2@localhost\n")
	c := w.next(t, 2)
	assert.Equal(t, 3000, c.Port)
	assert.True(t, c.Redis.InMemory())
	w.waitForLog(t, "settings need a restart")
	assert.Contains(t, w.logged(), `keys="port, redis.url"`)
	assert.NotContains(t, w.logged(), "hunter2")
}

// Not parallel: the signal is for every Watch of the process.
func TestWatchAnswersSIGHUP(t *testing.T) {
	ours := make(chan os.Signal, 100) // without it the signal would end the process if Watch did not catch it
	signal.Notify(ours, syscall.SIGHUP)
	defer signal.Stop(ours)
	path := filepath.Join(t.TempDir(), "limits.yaml")
	write(t, path, apiLimit(1))
	w := watch(t, config.Sources{YAML: path, Environ: env()})
	hangUp := func(answer string) {
		t.Helper()
		require.Eventually(t, func() bool {
			require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
			return strings.Contains(w.logged(), answer)
		}, aLongTime, 10*time.Millisecond)
	}
	hangUp("settings are as before")
	write(t, path, "limits: [")
	w.waitForLog(t, "not valid YAML")
	told := strings.Count(w.logged(), "not valid YAML")
	require.Eventually(t, func() bool {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		return strings.Count(w.logged(), "not valid YAML") > told
	}, aLongTime, 10*time.Millisecond, "who asks is answered")
}

func TestAConfigThatWasNotLoadedIsNotWatched(t *testing.T) {
	t.Parallel()
	var c config.Config
	c.Watch(t.Context(), slog.New(slog.DiscardHandler), nil)
}
