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

// settleFor is how long a file must be unchanged before it is read. A file that is written in place is
// empty at first.
const settleFor = 100 * time.Millisecond

// Watch loads the sources of c again when the YAML or the .env file changes, and when the process gets a
// SIGHUP. It passes the new settings to apply, which it calls in its own goroutine. It returns when ctx
// ends:
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
// count. Watch does not call apply if nothing differs from the settings in use.
//
// Settings with a fault change nothing, and neither do settings for which apply returns an error.
// logger gets the reason at Error, once as long as it stays the same. Host, Port and Redis stay as they
// are in c; logger gets a warning that another value needs a restart. Each SIGHUP gets a record. A nil
// logger stands for slog.Default().
//
// A program may write a file in place, replace it, or replace a symbolic link to it, as in a ConfigMap
// of Kubernetes. The folder must stay. Some file systems do not report changes, such as those over a
// network; then use SIGHUP. The environment of a process does not change, and it overrides the files.
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

	fault string   // the fault that was logged last, "" for none
	later []string // the keys that were logged last as in need of a restart
}

// reload loads the sources and applies them. asked is whether a SIGHUP asked for it.
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

// reject logs why the settings stay as they are.
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

// needsRestart reports whether a changed value of key needs a restart of the program.
func needsRestart(key string) bool {
	return key == keyHost || key == keyPort || strings.HasPrefix(key, sectionRedis+".")
}

// files reports changes in the folders of files. (The watcher of koanf's file provider ends when an
// editor moves a file away before it writes the new one.)
type files struct {
	watcher *fsnotify.Watcher // nil if the system does not report changes
	paths   []string
	names   []string // paths, and the targets of their links
	linked  bool     // a path is a link, so any change in its folder may change the file
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

// have reports whether a name is that of a file or of the target of a link.
func (f *files) have(name string) bool {
	return slices.Contains(f.names, filepath.Clean(name))
}

// follow watches the folders of the files, and the folders to which symbolic links lead now.
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
