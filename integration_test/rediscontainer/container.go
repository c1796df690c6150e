package rediscontainer

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	tcredis "github.com/testcontainers/testcontainers-go/modules/redis"
)

const (
	image     = "redis:7"
	redisPort = "6379/tcp"
)

// Start starts a Redis on a port of 127.0.0.1. It is a redistest.Starter.
func Start(ctx context.Context) (url string, stop func() error, err error) {
	// Testcontainers panics where there is no engine of any kind.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("rediscontainer: no Docker engine: %v", r)
		}
	}()
	provider, err := testcontainers.NewDockerProvider()
	if err == nil {
		err = provider.Health(ctx)
	}
	if err != nil {
		return "", nil, fmt.Errorf("rediscontainer: no Docker engine: %w", err)
	}
	redis, err := tcredis.Run(ctx, image, onLoopback())
	stop = func() error { return testcontainers.TerminateContainer(redis) }
	if err == nil {
		url, err = redis.PortEndpoint(ctx, redisPort, "redis")
	}
	if err != nil {
		_ = stop() // err says what went wrong first
		return "", nil, fmt.Errorf("rediscontainer: %w", err)
	}
	return url, stop, nil
}

// onLoopback publishes the port to this machine only; the default is to every address.
func onLoopback() testcontainers.CustomizeRequestOption {
	return testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
		host.PortBindings = network.PortMap{
			network.MustParsePort(redisPort): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "0"}},
		}
	})
}
