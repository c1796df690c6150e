// Command grpc shows a limit of 3 calls in any 2 seconds on a gRPC server, by its
// interceptors in limit.go; copy them. It serves gRPC's health service on a port of its own,
// calls it until it is refused with RESOURCE_EXHAUSTED, waits as the refusal's RetryInfo
// says, is let in, and ends.
//
//	cd examples/grpc && REDIS_URL=memory:// go run .
//
// The environment can have another limit, in LIMITS_API_MAX and LIMITS_API_WINDOW.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func main() {
	if err := run(context.Background(), os.Environ(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, environ []string, out io.Writer) error {
	cfg, err := config.Load(config.Sources{Environ: environ, Defaults: map[string]any{
		"limits.api.max": 3, "limits.api.window": "2s",
	}})
	if err != nil {
		return err
	}
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	limiter, err := slidingwindow.New(store, cfg.Limits["api"].Limit)
	if err != nil {
		return err
	}
	address, stop, err := serve(limiter)
	if err != nil {
		return err
	}
	defer stop()
	return callUntilRefusedOnce(ctx, address, out)
}

// serve starts a server on a port of 127.0.0.1.
func serve(limiter *slidingwindow.Limiter) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(limitUnary(limiter)),
		grpc.StreamInterceptor(limitStream(limiter)),
	)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }() // until stop
	return listener.Addr().String(), server.Stop, nil
}

// callUntilRefusedOnce is a client that calls on and on, waits once as it is told to, and
// ends with the call after that.
func callUntilRefusedOnce(ctx context.Context, address string, out io.Writer) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	for refused := false; ; {
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		fmt.Fprintln(out, "Check:", status.Code(err))
		if status.Code(err) != codes.ResourceExhausted {
			if err != nil || refused {
				return err
			}
			continue
		}
		refused = true
		delay := retryDelay(err)
		fmt.Fprintln(out, "RetryInfo:", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// retryDelay is that of the RetryInfo of a status; 0 if it has none.
func retryDelay(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
