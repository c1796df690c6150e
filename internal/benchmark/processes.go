package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

const processCallers = 16 // in each process

// order is what a process that this program started of itself is to do.
type order struct {
	Contestant string
	Addr       string
	Work       work
	While      time.Duration
}

// report of a process: its tally, with the latencies by bucket.
type processReport struct {
	Tally   tally
	Latency map[int]uint32
}

// obey is what such a process does: it tells that it is ready, waits for a line and runs.
func obey(ctx context.Context, text string, in io.Reader, out io.Writer) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("-order: %w", err)
	}
	found := contestantsNamed(o.Contestant)
	if len(found) == 0 {
		return fmt.Errorf("-order: no contestant is named %q", o.Contestant)
	}
	ask, closeIt, err := found[0].open(ctx, o.Addr, o.Work.Quota)
	if err != nil {
		return err
	}
	defer closeIt()
	if err := warmUp(ctx, ask, o.Work.Callers); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return err
	}
	t := loadFor(ctx, ask, keyNames("user", o.Work.Keys), o.Work.Callers, o.While)
	report := processReport{Tally: *t, Latency: map[int]uint32{}}
	for bucket, n := range t.latency {
		if n > 0 {
			report.Latency[bucket] = n
		}
	}
	return json.NewEncoder(out).Encode(report)
}

// process is one that runs an order.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProcess(o order) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(program, "-order", string(text))}
	p.cmd.Stderr = os.Stderr
	subprocess.Tie(p.cmd)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := p.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("a process of %s was not ready: %w", o.Contestant, err), p.end())
	}
	return p, nil
}

func (p *process) end() error {
	_ = p.in.Close() // it waits for a line no longer
	return p.cmd.Wait()
}

// shared measures one round of several processes that share a quota.
func (s *server) shared(ctx context.Context, c contestant, w work, processes int, while time.Duration) (m measurement, err error) {
	if err := s.empty(ctx); err != nil {
		return m, err
	}
	all := make([]*process, 0, processes)
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.end())
		}
	}()
	for range processes {
		p, err := startProcess(order{Contestant: c.name, Addr: s.Addr(), Work: w, While: while})
		if err != nil {
			return m, err
		}
		all = append(all, p)
	}
	if err := s.do(ctx, "CONFIG", "RESETSTAT").Error(); err != nil {
		return m, err
	}
	start, err := s.use(ctx)
	if err != nil {
		return m, err
	}
	for _, p := range all {
		if _, err := io.WriteString(p.in, "go\n"); err != nil {
			return m, err
		}
	}
	for _, p := range all {
		var report processReport
		if err := json.NewDecoder(p.out).Decode(&report); err != nil {
			return m, fmt.Errorf("a process of %s: %w", c.name, err)
		}
		for bucket, n := range report.Latency {
			report.Tally.latency[bucket] = n
		}
		m.add(&report.Tally)
	}
	end, err := s.use(ctx)
	if err != nil {
		return m, err
	}
	m.redisCPU, m.commands = end.cpu-start.cpu, end.commands
	m.asked, m.admitted, m.while = m.Decisions, m.Admitted, m.Elapsed
	return m, nil
}

// measureProcesses tells whether a decision costs more when more processes share the quota.
func (b *bench) measureProcesses(ctx context.Context) error {
	numbers := []int{1, 2, 4, 8}
	if b.short {
		numbers = []int{1, 2}
	}
	t := &table{file: "growth-processes", title: "Growth with the number of processes, 10,000 keys of 100 a minute, 16 concurrent callers in each",
		note:   "x smallest: CPU per decision, of all clients and of Redis together, over that of one process.",
		header: []string{"limiter", "processes", "decisions/s", "p50 us", "p99 us", "client CPU us", "Redis CPU us", "x smallest", "asked", "admitted", "may admit", "errors"}}
	curves := &curves{title: t.title, x: "processes", y: "CPU per decision, us"}
	w := work{Quota: quota{Max: 100, Window: time.Minute}, Keys: manyKeys, Callers: processCallers}
	contestants := contestantsNamed(oursName, fixedWindowOnRueidis().name, rueidisLimiter().name, incrName)
	smallest := map[string]time.Duration{}
	for _, n := range numbers {
		measured := make([][]measurement, len(contestants))
		for range b.growthRounds() {
			for i, c := range contestants {
				m, err := b.server.shared(ctx, c, w, n, b.cell)
				if err != nil {
					return err
				}
				measured[i] = append(measured[i], m)
			}
		}
		for i, c := range contestants {
			r := summary(c, w, measured[i], nil)
			cost := r.clientCPU + r.redisCPU
			if smallest[c.name] == 0 {
				smallest[c.name] = cost
			}
			t.add(r.name, strconv.Itoa(n), count(r.perSecond), microseconds(r.p50), microseconds(r.p99), microseconds(r.clientCPU), microseconds(r.redisCPU),
				ratio(float64(cost), float64(smallest[c.name])), fmt.Sprint(r.asked), fmt.Sprint(r.admitted), count(r.may), fmt.Sprint(r.errors))
			curves.add(r.name, float64(n), float64(cost)/float64(time.Microsecond))
		}
	}
	if err := b.report.table(t); err != nil {
		return err
	}
	return b.report.plot(t.file, curves.plot)
}
