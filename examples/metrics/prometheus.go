package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// scraper is a Prometheus that scrapes one address every second.
type scraper struct {
	cmd    *exec.Cmd
	dir    string
	url    string
	ended  chan struct{}
	stderr bytes.Buffer
}

const scraping = `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: api
    static_configs: [{targets: [%q]}]
`

func startPrometheus(ctx context.Context, target string) (*scraper, error) {
	dir, err := os.MkdirTemp("", "metrics-")
	if err != nil {
		return nil, err
	}
	p := &scraper{dir: dir, ended: make(chan struct{})}
	if err := p.start(ctx, target); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return p, nil
}

func (p *scraper) start(ctx context.Context, target string) error {
	for name, content := range map[string][]byte{"prometheus.yml": fmt.Appendf(nil, scraping, target), "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	settings := filepath.Join(p.dir, "prometheus.yml")
	if out, err := exec.CommandContext(ctx, "promtool", "check", "config", settings).CombinedOutput(); err != nil {
		return fmt.Errorf("promtool check config: %w\n%s", err, out)
	}
	port, err := subprocess.FreePort()
	if err != nil {
		return err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p.url = "http://" + addr
	p.cmd = exec.Command("prometheus", "--config.file="+settings, "--storage.tsdb.path="+filepath.Join(p.dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	p.cmd.Stderr = &p.stderr
	subprocess.Tie(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// has asks, by promtool, what data an expression has now, "" if none.
func (p *scraper) has(ctx context.Context, expr string) (data string, err error) {
	select {
	case <-p.ended:
		return "", fmt.Errorf("prometheus has ended: %s", p.stderr.String())
	default:
	}
	// Its error may be that Prometheus is not ready yet.
	out, err := exec.CommandContext(ctx, "promtool", "query", "instant", p.url, expr).Output()
	if err != nil {
		return "", ctx.Err()
	}
	if data := strings.TrimSpace(string(out)); !strings.Contains(data, "=> NaN") { // a share of nothing
		return data, nil
	}
	return "", nil
}

// stop ends the process, and removes what it has written.
func (p *scraper) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	_ = os.RemoveAll(p.dir)
}
