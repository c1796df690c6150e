// Package shardproxy is a proxy that shards keys over several Redis servers by the first key of a
// command, as proxies that know no Cluster do. It is for tests.
package shardproxy

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Config says how the proxy shards.
type Config struct {
	Servers []string // addresses

	// Refusal is the error for a command whose keys are on several servers, such as "ERR keys must
	// in same slot". "" sends such a command to the server of its first key, without a word.
	Refusal string

	// IgnoreHashTags makes it take the whole key, not only the part in braces.
	IgnoreHashTags bool

	// Intercept, if not nil, is asked first about each command. It may change the arguments, or
	// return a reply to give instead of a server's.
	Intercept func(args []string) (changed []string, reply string)
}

// Proxy is a running proxy. It speaks RESP2, as many proxies do.
type Proxy struct {
	config   Config
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// Start runs a proxy. The caller must Stop it.
func Start(config Config) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{config: config, listener: listener, conns: map[net.Conn]struct{}{}}
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { _ = p.serve(client) })
		}
	})
	return p, nil
}

// Addr is the proxy's address.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Stop ends it, and its connections.
func (p *Proxy) Stop() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.ended = true
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

// own makes Stop close the connection.
func (p *Proxy) own(conn net.Conn) (disown func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
	if p.ended {
		_ = conn.Close()
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
		_ = conn.Close()
	}
}

type backend struct {
	conn  net.Conn
	reply *bufio.Reader
}

// serve passes the commands of one client on, one after the other.
func (p *Proxy) serve(client net.Conn) error {
	defer p.own(client)()
	backends := make([]backend, len(p.config.Servers))
	for i, addr := range p.config.Servers {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer p.own(conn)()
		backends[i] = backend{conn, bufio.NewReader(conn)}
	}
	commands := bufio.NewReader(client)
	for {
		command, args, err := readValue(commands)
		if err != nil {
			return err
		}
		reply, err := p.answer(backends, command, args)
		if err != nil {
			return err
		}
		if _, err := client.Write(reply); err != nil {
			return err
		}
	}
}

func (p *Proxy) answer(backends []backend, command []byte, args []string) (reply []byte, err error) {
	name := strings.ToUpper(args[0])
	if name == "HELLO" || name == "CLUSTER" {
		return fmt.Appendf(nil, "-ERR unknown command '%s'\r\n", args[0]), nil
	}
	if p.config.Intercept != nil {
		changed, reply := p.config.Intercept(args)
		if reply != "" {
			return []byte(reply), nil
		}
		args, command = changed, fmt.Appendf(nil, "*%d\r\n", len(changed))
		for _, arg := range changed {
			command = fmt.Appendf(command, "$%d\r\n%s\r\n", len(arg), arg)
		}
	}
	to := map[int]bool{}
	first := 0 // a command without a key goes to the first server
	for i, key := range keysOf(name, args) {
		server := p.serverOf(key)
		if to[server] = true; i == 0 {
			first = server
		}
	}
	if len(to) > 1 && p.config.Refusal != "" {
		return fmt.Appendf(nil, "-%s\r\n", p.config.Refusal), nil
	}
	if _, err := backends[first].conn.Write(command); err != nil {
		return nil, err
	}
	reply, _, err = readValue(backends[first].reply)
	return reply, err
}

func keysOf(name string, args []string) []string {
	switch name {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO":
		n, _ := strconv.Atoi(args[2])
		return args[3 : 3+n]
	case "UNLINK", "DEL":
		return args[1:]
	case "ZCARD", "GET", "SET":
		return args[1:2]
	default:
		return nil
	}
}

func (p *Proxy) serverOf(key string) int {
	if _, tag, ok := strings.Cut(key, "{"); ok && !p.config.IgnoreHashTags {
		if tag, _, ok := strings.Cut(tag, "}"); ok && tag != "" {
			key = tag
		}
	}
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, key)
	return int(sum.Sum32() % uint32(len(p.config.Servers))) //nolint:gosec // there are few
}

// readValue reads one value of RESP2 as it is, and the texts in it.
func readValue(r *bufio.Reader) (raw []byte, texts []string, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, nil, err
	}
	raw = []byte(line)
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch {
	case line[0] == '$' && n >= 0:
		text := make([]byte, n+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, nil, err
		}
		return append(raw, text...), []string{string(text[:n])}, nil
	case line[0] == '*':
		for range n {
			part, more, err := readValue(r)
			if err != nil {
				return nil, nil, err
			}
			raw, texts = append(raw, part...), append(texts, more...)
		}
	}
	return raw, texts, nil
}
