package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A worker is this program run again, as a process of its own, with its job in this
// variable. Redis and the limits are in its environment as well, as they are in production.
const workerEnv = "RATELIMIT_SOAK_WORKER"

type job struct {
	Worker   uint64 // how many were started before
	Seed     uint64
	Limiters [][]string // the names of the limits of each
	Callers  int        // goroutines that make random calls
	Probers  int        // goroutines that wait out what they are told
}

const (
	flushEvery   = 50 * time.Millisecond
	endTimeout   = 30 * time.Second
	startTimeout = time.Minute
)

// worker makes calls.
type worker struct {
	job      job
	limiters []*slidingwindow.Limiter
	out      *stream
}

// work does a job until its standard input ends.
func work(encoded string) int {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // connections come and go
	if err := workUntilEOF(encoded); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return 0
}

func workUntilEOF(encoded string) error {
	w := &worker{out: newStream(os.Stdout)}
	if err := json.Unmarshal([]byte(encoded), &w.job); err != nil {
		return err
	}
	goroutines := runtime.NumGoroutine()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	peak, err := w.run(ctx)
	if err != nil {
		return err
	}
	last := event{Kind: ended, PeakHeap: peak}
	for deadline := time.Now().Add(endTimeout); ; time.Sleep(10 * time.Millisecond) {
		last.Goroutines = runtime.NumGoroutine() - goroutines
		if last.Goroutines <= 0 || time.Now().After(deadline) {
			break
		}
	}
	if last.Goroutines > 0 {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	}
	w.limiters = nil
	debug.FreeOSMemory() // collects twice, with what finalizers free
	last.Heap = heap()
	w.out.send(last)
	return nil
}

// run sets up what a service would, and makes calls until ctx ends.
func (w *worker) run(ctx context.Context) (peakHeap uint64, err error) {
	cfg, err := config.Load(config.Sources{})
	if err != nil {
		return 0, err
	}
	starting, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	client, err := cfg.Redis.Connect(starting)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	store, err := slidingwindow.NewRedisStore(client, cfg.Redis.StoreConfig())
	if err != nil {
		return 0, err
	}
	defer store.Close()
	for _, names := range w.job.Limiters {
		var limits []slidingwindow.Limit
		for _, name := range names {
			limit, err := cfg.Limit(name)
			if err != nil {
				return 0, err
			}
			limits = append(limits, limit.Limit)
		}
		limiter, err := slidingwindow.New(store, limits...)
		if err != nil {
			return 0, err
		}
		w.limiters = append(w.limiters, limiter)
	}
	var calling sync.WaitGroup
	for caller := range w.job.Callers {
		calling.Go(func() { w.call(ctx, uint64(caller)) })
	}
	for prober := range w.job.Probers {
		calling.Go(func() { w.probe(ctx, uint64(prober)) })
	}
	done := make(chan struct{})
	go func() {
		calling.Wait()
		close(done)
	}()
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	for ticks := 0; ; ticks++ {
		select {
		case <-done:
			w.out.flush()
			return max(peakHeap, heap()), nil
		case <-flush.C:
			w.out.flush()
		}
		if ticks%20 == 0 {
			peakHeap = max(peakHeap, heap())
		}
	}
}

// heap is how many bytes of it are in use.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
