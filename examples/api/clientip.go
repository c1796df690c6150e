package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/config"
)

// clientIP finds the address of a client as the settings say: that of the connection, or what
// a proxy that is trusted says in its header. Only the proxies of the settings are: Echo
// would trust every private address besides, and with it whoever has one.
func clientIP(client config.Client) echo.IPExtractor {
	if len(client.TrustedProxies) == 0 {
		return echo.ExtractIPDirect()
	}
	if client.ProxyHeader == echo.HeaderXForwardedFor {
		trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
		for _, proxies := range client.TrustedProxies {
			trust = append(trust, echo.TrustIPRange(&net.IPNet{
				IP:   proxies.Addr().AsSlice(),
				Mask: net.CIDRMask(proxies.Bits(), proxies.Addr().BitLen()),
			}))
		}
		return echo.ExtractIPFromXFFHeader(trust...)
	}
	direct := echo.ExtractIPDirect()
	return func(request *http.Request) string {
		peer := direct(request)
		values := request.Header.Values(client.ProxyHeader)
		if len(values) != 1 || !isOneOf(client.TrustedProxies, peer) {
			return peer
		}
		addr, err := netip.ParseAddr(strings.TrimSpace(values[0]))
		if err != nil {
			return peer
		}
		return addr.WithZone("").Unmap().String()
	}
}

func isOneOf(proxies []netip.Prefix, peer string) bool {
	addr, err := netip.ParseAddr(peer)
	for _, prefix := range proxies {
		if err == nil && prefix.Contains(addr.WithZone("").Unmap()) {
			return true
		}
	}
	return false
}
