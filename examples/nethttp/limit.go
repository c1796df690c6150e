package main

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// limit serves next to clients that have quota left, and a 429 with Retry-After to others.
func limit(limiter *slidingwindow.Limiter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := limiter.Allow(r.Context(), clientOf(r))
		switch {
		case err != nil: // no decision, which is not a refusal
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		case !d.Allowed:
			seconds := (d.RetryAfter + time.Second - 1) / time.Second // up: never too early
			w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
			http.Error(w, "too many requests", http.StatusTooManyRequests)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// clientOf is the address of the peer, or its network: who has an IPv6 address has many.
// Behind a proxy the peer is that proxy; see docs/proxies.md before you read a header.
func clientOf(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // of a Unix socket
	}
	addr := peer.Addr().Unmap().WithZone("")
	if addr.Is6() {
		return netip.PrefixFrom(addr, 56).Masked().String()
	}
	return addr.String()
}
