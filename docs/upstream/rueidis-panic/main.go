// Command rueidis-panic ends in a panic of rueidis v1.0.79; see ../rueidis.md.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/redis/rueidis"
)

func main() {
	// What a Redis does that has as many clients as it may have.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "-ERR max number of clients reached\r\n")
			_ = conn.Close()
		}
	}()

	// ForceSingleClient makes a client without a connection, too. The error is the server's.
	client, _ := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{listener.Addr().String()},
		ForceSingleClient: true,
		DialCtxFn: func(ctx context.Context, addr string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", addr)
			if _, bounded := ctx.Deadline(); bounded {
				<-ctx.Done() // the context ends between connecting and HELLO
			}
			return conn, err
		},
	})
	for range 100 { // the first time does, mostly
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_ = client.Do(ctx, client.B().Ping().Build()).Error()
		cancel()
	}
	fmt.Println("no panic")
}
