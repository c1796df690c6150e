package main

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// crew are the worker processes.
type crew struct {
	job      job
	environ  []string
	limiters [][]slidingwindow.Limit
	log      *journal

	mu      sync.Mutex
	started uint64
	workers []*process
}

// process is one worker.
type process struct {
	number uint64
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer
	ended  chan struct{} // closed when all that it told was noted and it has ended
	killed bool          // by us
	broken bool          // it has twice the limits
}

const (
	callersPerWorker = 12 // enough for batches to form: a call goes by itself while few do
	probersPerWorker = 4
)

func newCrew(s settings, limiters [][]slidingwindow.Limit, url string, log *journal) *crew {
	c := &crew{
		job:      job{Seed: s.seed, Callers: callersPerWorker, Probers: probersPerWorker},
		limiters: limiters,
		log:      log,
		environ: append(os.Environ(), "REDIS_URL="+url, "REDIS_PREFIX="+keyPrefix,
			"REDIS_TIMEOUT="+workerTimeout.String()),
	}
	for _, limits := range limiters {
		var names []string
		for _, limit := range limits {
			names = append(names, limit.Name)
		}
		c.job.Limiters = append(c.job.Limiters, names)
	}
	return c
}

// start starts one more worker; a broken one has twice the limits.
func (c *crew) start(broken bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c.started++
	task := c.job
	task.Worker = c.started
	encoded, err := json.Marshal(task)
	if err != nil {
		return err
	}
	p := &process{number: task.Worker, cmd: exec.Command(program), ended: make(chan struct{}), broken: broken}
	p.cmd.Env = append(c.environ[:len(c.environ):len(c.environ)], workerEnv+"="+string(encoded))
	for _, limits := range c.limiters {
		for _, limit := range limits {
			if broken {
				limit.Max *= 2
			}
			name := "LIMITS_" + strings.ToUpper(limit.Name)
			p.cmd.Env = append(p.cmd.Env, fmt.Sprintf("%s_MAX=%d", name, limit.Max), fmt.Sprintf("%s_WINDOW=%v", name, limit.Window))
		}
	}
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	events, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	subprocess.Tie(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	c.workers = append(c.workers, p)
	go c.follow(p, events)
	return nil
}

// follow notes what a worker tells until it ends.
func (c *crew) follow(p *process, events io.Reader) {
	defer close(p.ended)
	last := event{}
	for decoder := gob.NewDecoder(events); ; {
		var e event
		if decoder.Decode(&e) != nil {
			break // the end, or half an event of one that was killed
		}
		c.log.note(p.number, e)
		last = e
	}
	_, _ = io.Copy(io.Discard, events)
	err := p.cmd.Wait()
	c.mu.Lock()
	killed := p.killed
	c.mu.Unlock()
	if !killed && (err != nil || last.Kind != ended) {
		c.log.problem(fmt.Sprintf("worker %d ended too early: %v", p.number, err))
	}
	if !killed && p.stderr.Len() > 0 {
		c.log.problem(fmt.Sprintf("worker %d wrote: %s", p.number, strings.TrimSpace(p.stderr.String())))
	}
}

// kill ends one worker at once, and tells whether it was a broken one.
func (c *crew) kill(target int) (broken bool) {
	c.mu.Lock()
	i := target % len(c.workers)
	p := c.workers[i]
	p.killed = true
	c.workers = append(c.workers[:i:i], c.workers[i+1:]...)
	c.mu.Unlock()
	_ = p.cmd.Process.Kill()
	<-p.ended
	return p.broken
}

// number is the number of the worker that a fault is for.
func (c *crew) number(target int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers[target%len(c.workers)].number
}

// signal sends a signal to one worker.
func (c *crew) signal(target int, signal os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.workers[target%len(c.workers)].cmd.Process.Signal(signal)
}

// finish asks all workers to end, and waits until they have.
func (c *crew) finish() {
	for _, p := range c.workers {
		_ = p.stdin.Close()
	}
	timeout := time.After(2 * time.Minute)
	for _, p := range c.workers {
		select {
		case <-p.ended:
		case <-timeout:
			c.log.problem(fmt.Sprintf("worker %d did not end when it was told to", p.number))
			c.abandon()
			return
		}
	}
}

// abandon kills all workers that still run.
func (c *crew) abandon() {
	c.mu.Lock()
	for _, p := range c.workers {
		p.killed = true
	}
	c.mu.Unlock()
	for _, p := range c.workers {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}
