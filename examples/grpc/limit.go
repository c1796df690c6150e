package main

import (
	"context"
	"net"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// limitUnary counts each call.
func limitUnary(limiter *slidingwindow.Limiter) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := allow(ctx, limiter); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

// limitStream counts each stream once, when it is opened, whatever is sent on it.
func limitStream(limiter *slidingwindow.Limiter) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if err := allow(stream.Context(), limiter); err != nil {
			return err
		}
		return handler(srv, stream)
	}
}

// allow returns nil if the client has quota left, else the status to answer with: a refusal
// tells in its RetryInfo how long to wait.
func allow(ctx context.Context, limiter *slidingwindow.Limiter) error {
	d, err := limiter.Allow(ctx, clientOf(ctx))
	switch {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case err != nil: // no decision, which is not a refusal
		return status.Error(codes.Unavailable, "the rate limit cannot be checked; try again later")
	case d.Allowed:
		return nil
	}
	refusal, err := status.New(codes.ResourceExhausted, "too many calls").
		WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d.RetryAfter)})
	if err != nil {
		return err
	}
	return refusal.Err()
}

// clientOf is the address of the peer. Where clients log in, return who it is instead, from
// the context; where they come through a proxy, the peer is that proxy.
func clientOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "" // which slidingwindow refuses as a key
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}
