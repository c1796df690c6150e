package redisserver

import (
	"io"
	"net"
	"sync"
)

// Address is an address that leads to a server and can be moved to another one, as those of
// services and virtual addresses are. Connections that are open stay where they are.
type Address struct {
	listener net.Listener
	ended    sync.WaitGroup

	mu    sync.Mutex
	to    *Server
	made  int
	conns []net.Conn
}

// StartAddress returns an address that leads to a server. The caller must Stop it.
func StartAddress(to *Server) (*Address, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &Address{listener: listener, to: to}
	a.ended.Go(a.accept)
	return a, nil
}

// Addr is the "127.0.0.1:port".
func (a *Address) Addr() string { return a.listener.Addr().String() }

// URL is its redis:// URL.
func (a *Address) URL() string { return "redis://" + a.Addr() }

// Move lets the connections that are made from now on lead to another server.
func (a *Address) Move(to *Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.to = to
}

// Made is how many connections were made.
func (a *Address) Made() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made
}

// Stop closes the address and all connections.
func (a *Address) Stop() {
	_ = a.listener.Close()
	a.mu.Lock()
	for _, conn := range a.conns {
		_ = conn.Close()
	}
	a.mu.Unlock()
	a.ended.Wait()
}

func (a *Address) accept() {
	for {
		near, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.mu.Lock()
		far, err := net.Dial("tcp", a.to.Addr())
		a.made++
		a.conns = append(a.conns, near)
		if err == nil {
			a.conns = append(a.conns, far)
		}
		a.mu.Unlock()
		if err != nil {
			_ = near.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			a.ended.Go(func() {
				_, _ = io.Copy(way[1], way[0])
				_, _ = near.Close(), far.Close()
			})
		}
	}
}
