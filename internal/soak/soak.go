package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const (
	clusterNodes = 3

	// Calls may fail for so long after a fault: until those that waited have timed out,
	// and connections are made again; in a Cluster, until its nodes agree again.
	grace        = workerTimeout + time.Second
	clusterGrace = workerTimeout + 5*time.Second

	// A window is checked so long after it began, when all workers have told of it.
	sweepAfter = 45 * time.Second
	sweepEvery = 5 * time.Second
	sayEvery   = time.Minute

	warmUp = 500 * time.Millisecond
)

// soak does all of it. An error means that it could not be done; what it found is in the
// result. Nothing is left running.
func soak(ctx context.Context, s settings) (_ *result, err error) {
	limiters := planLimiters(s.seed)
	r := &result{settings: s, limiters: limiters}
	fmt.Printf("soak: seed %d, %v of load from %d processes, %d limiters\n", s.seed, s.length, s.workers, len(limiters))

	servers, stop, err := startServers(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	pause := grace
	if s.cluster {
		pause = clusterGrace
	}
	r.journal = newJournal(newChecker(limiters), pause)
	a := &arena{servers: servers, crew: newCrew(s, limiters, urlOf(servers), r.journal)}
	defer a.crew.abandon()
	for i := range s.workers {
		if err := a.crew.start(s.broken && i == 0); err != nil {
			return nil, err
		}
	}

	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	go watchMachine(watching, r.journal)
	disk, err := os.CreateTemp("", "soak-disk-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(disk.Close(), os.Remove(disk.Name())) }()
	go watchDisk(watching, disk, r.journal)
	loaded, cancel := context.WithTimeout(ctx, s.length)
	defer cancel()
	checked := make(chan struct{})
	go func() {
		r.checkAlong(loaded)
		close(checked)
	}()
	began := time.Now()
	if err = a.disturb(loaded, ctx, newFaults(s.seed), r.journal, began.Add(s.length-pause-warmUp)); err != nil {
		cancel()
	}
	<-loaded.Done()
	<-checked
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if clockWasSet(began) {
		return nil, errors.New("the clock of this machine was set meanwhile, on which all is checked: run it again")
	}

	a.crew.finish()
	r.journal.judge()
	r.journal.sweep(never)
	return r, r.checkKeys(ctx, servers)
}

const long = 120 * time.Millisecond // for a sleep of 20ms, and for a write to disk

// watchDisk notes when the disk takes long, for which the Redis waits with each write.
func watchDisk(ctx context.Context, disk *os.File, log *journal) {
	for ctx.Err() == nil {
		began := now()
		if _, err := disk.WriteAt([]byte("soak"), 0); err != nil || disk.Sync() != nil {
			return // the file is closed: the run has ended
		}
		if ended := now(); ended-began > long.Microseconds() {
			log.machineStalled(began, ended)
		}
		sleep(ctx, 10*long)
	}
}

// watchMachine notes when a short sleep took long.
func watchMachine(ctx context.Context, log *journal) {
	const short = 20 * time.Millisecond
	for last := now(); ctx.Err() == nil; {
		sleep(ctx, short)
		woke := now()
		if woke-last > long.Microseconds() {
			log.machineStalled(last, woke)
		}
		last = woke
	}
}

// clockWasSet tells whether the wall clock has gone otherwise than the monotonic one, by more
// than it is slewed by.
func clockWasSet(began time.Time) bool {
	now := time.Now()
	elapsed := now.Sub(began)
	return (now.Round(0).Sub(began.Round(0)) - elapsed).Abs() > 50*time.Millisecond+elapsed/1000
}

// startServers starts the Redis. A log of everything on disk, written before Redis answers,
// is what lets the checker be strict: a killed server forgets nothing.
func startServers(ctx context.Context, s settings) ([]*redisserver.Server, func() error, error) {
	durable := []string{"--appendonly", "yes", "--appendfsync", "always"}
	if s.cluster {
		cluster, err := redisserver.StartCluster(ctx, clusterNodes, durable...)
		if err != nil {
			return nil, nil, err
		}
		return cluster.Nodes, cluster.Stop, nil
	}
	server, err := redisserver.Start(ctx, durable...)
	if err != nil {
		return nil, nil, err
	}
	return []*redisserver.Server{server}, server.Stop, nil
}

func urlOf(servers []*redisserver.Server) string {
	var url strings.Builder
	url.WriteString(servers[0].URL())
	for i, server := range servers[1:] {
		url.WriteString([]string{"?", "&"}[min(i, 1)] + "addr=" + server.Addr())
	}
	return url.String()
}

// disturb injects faults until the load ends, the last one early enough to be over by then.
// It ends what it began, unless ctx ends.
func (a *arena) disturb(loaded, ctx context.Context, faults *faults, log *journal, end time.Time) error {
	sleep(loaded, warmUp)
	for {
		f := faults.next()
		if time.Now().Add(f.gap + f.length).After(end) {
			return nil
		}
		sleep(loaded, f.gap)
		if loaded.Err() != nil {
			return nil
		}
		var worker uint64
		if f.kind.ofWorker {
			worker = a.crew.number(f.target)
		}
		over := log.faultBegins(f.kind, worker)
		if err := f.kind.inject(ctx, a, f); err != nil {
			return fmt.Errorf("fault %q: %w", f.kind.name, err)
		}
		over()
	}
}

// checkAlong checks what is complete while the load goes on, and says how far it has come.
func (r *result) checkAlong(loaded context.Context) {
	began, said := time.Now(), time.Now()
	for {
		sleep(loaded, sweepEvery)
		if loaded.Err() != nil {
			return
		}
		r.journal.sweep(now() - sweepAfter.Microseconds())
		if time.Since(said) >= sayEvery {
			said = said.Add(sayEvery)
			calls, faults, violations := r.journal.progress()
			fmt.Printf("soak: after %v: %d calls, %d faults, %d violations\n", time.Since(began).Round(time.Second), calls, faults, violations)
		}
	}
}
