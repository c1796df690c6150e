package config

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A file is read when it has not changed for so long: one that is written in place is empty first.
const settleFor = 100 * time.Millisecond

// Watch loads the sources of c again whenever the YAML or the .env file changes, and when the
// process gets a SIGHUP, and gives what they say then to apply. It returns when ctx ends. apply is
// called in the goroutine of Watch:
//
//	go cfg.Watch(ctx, logger, func(next *config.Config) error {
//		limiter, err := newLimiter(store, next) // slidingwindow.New and SetMode
//		if err == nil {
//			current.Store(limiter) // an atomic.Pointer: a call sees the old one or the new one
//		}
//		return err
//	})
//
// The log of a key belongs to the name of the limit, so another Max, Window or Mode loses no
// count. Where nothing differs from what is in use, apply is not called.
//
// Settings with a fault change nothing, and neither do those that apply returns an error for: logger
// gets the reason (Error), once as long as it is the same. Host, Port and Redis stay as they are in
// c: logger is told (Warn) that another value needs a restart. A SIGHUP is always answered. nil
// stands for slog.Default().
//
// A file may be written in place, replaced by another one, or be behind a symbolic link that
// is, as in a ConfigMap of Kubernetes. Its folder must stay. If the system does not tell of changes,
// as a file system over a network often does not, SIGHUP remains. The environment of a
// process does not change, and what it sets overrides the files.
func (c *Config) Watch(ctx context.Context, logger *slog.Logger, apply func(next *Config) error) {
	if logger == nil {
		logger = slog.Default()
	}
	if c.sources == nil {
		logger.WarnContext(ctx, "settings that were not loaded do not change")
		return
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Stop(asked)
	w := &watch{running: c, values: c.values(), apply: apply, logger: logger}
	files, err := newFiles(c.sources())
	if err != nil {
		logger.WarnContext(ctx, "changed settings are loaded on SIGHUP only", "error", err)
	}
	defer files.close()

	due := time.After(settleFor) // it may have changed since c was loaded
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-files.changed:
			if files.have(event.Name) || due == nil && files.linked {
				due = time.After(settleFor)
			}
		case <-files.failed: // events were lost
			due = time.After(settleFor)
		case <-due:
			due = nil
			_ = files.follow()
			w.reload(ctx, false)
		case <-asked:
			_ = files.follow()
			w.reload(ctx, true)
		}
	}
}

// watch is what Watch knows between two changes.
type watch struct {
	running *Config        // has the Host, the Port and the Redis that are in use
	values  map[string]any // what was loaded last without a fault
	apply   func(*Config) error
	logger  *slog.Logger

	fault string   // that was told, "" if there is none
	later []string // keys that need a restart, as told
}

// reload applies what the sources say now. asked is whether somebody waits for an answer.
func (w *watch) reload(ctx context.Context, asked bool) {
	next, err := Load(w.running.sources())
	if err != nil {
		w.reject(ctx, err, asked)
		return
	}
	values := next.values()
	changed := slices.DeleteFunc(differing(w.values, values), needsRestart)
	if len(changed) > 0 {
		next.Host, next.Port, next.Redis, next.from = w.running.Host, w.running.Port, w.running.Redis, w.running.from
		if err := w.apply(next); err != nil {
			w.reject(ctx, err, asked)
			return
		}
	}
	w.values, w.fault = values, ""
	switch {
	case len(changed) > 0:
		w.logger.InfoContext(ctx, "settings changed", "keys", strings.Join(changed, ", "))
	case asked:
		w.logger.InfoContext(ctx, "settings are as before")
	}
	w.warnOfRestart(ctx, asked)
}

// reject tells why the settings stay as they are.
func (w *watch) reject(ctx context.Context, err error, asked bool) {
	if fault := err.Error(); asked || fault != w.fault {
		w.fault = fault
		w.logger.ErrorContext(ctx, "settings are not changed", "error", err)
	}
}

func (w *watch) warnOfRestart(ctx context.Context, asked bool) {
	later := slices.DeleteFunc(differing(w.running.values(), w.values), func(key string) bool { return !needsRestart(key) })
	if len(later) > 0 && (asked || !slices.Equal(later, w.later)) {
		w.logger.WarnContext(ctx, "settings need a restart", "keys", strings.Join(later, ", "))
	}
	w.later = later
}

// differing are the keys whose values differ, sorted.
func differing(a, b map[string]any) (keys []string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for key := range all {
		if !reflect.DeepEqual(a[key], b[key]) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// needsRestart tells the keys that a running program does not follow.
func needsRestart(key string) bool {
	return key == keyHost || key == keyPort || strings.HasPrefix(key, sectionRedis+".")
}

// files tells of changes in the folders of files. (The watcher of koanf's file provider ends for
// good when an editor moves a file away before it writes the new one.)
type files struct {
	watcher *fsnotify.Watcher // nil if the system does not tell of changes
	paths   []string
	names   []string // of paths, and of what they lead to
	linked  bool     // a path leads somewhere else, so any change of a folder may be one of it
	changed <-chan fsnotify.Event
	failed  <-chan error
}

func newFiles(sources Sources) (*files, error) {
	f := &files{}
	for _, path := range []string{sources.YAML, sources.DotEnv} {
		if path != "" {
			f.paths = append(f.paths, filepath.Clean(path))
		}
	}
	if len(f.paths) == 0 {
		return f, nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return f, err
	}
	f.watcher, f.changed, f.failed = watcher, watcher.Events, watcher.Errors
	return f, f.follow()
}

// have tells whether a name is that of a file, or of what a link leads to.
func (f *files) have(name string) bool {
	return slices.Contains(f.names, filepath.Clean(name))
}

// follow watches the folders of the files, and those that symbolic links lead to by now.
func (f *files) follow() (err error) {
	if f.watcher == nil {
		return nil
	}
	f.names, f.linked = nil, false
	for _, path := range f.paths {
		f.names = append(f.names, path)
		if failed := f.watcher.Add(filepath.Dir(path)); failed != nil && err == nil {
			err = failed
		}
		target, failed := filepath.EvalSymlinks(path)
		if failed != nil || target == path {
			continue
		}
		f.names, f.linked = append(f.names, target), true
		_ = f.watcher.Add(filepath.Dir(target)) // it may be gone again
	}
	return err
}

func (f *files) close() {
	if f.watcher != nil {
		_ = f.watcher.Close()
	}
}
