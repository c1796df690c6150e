package echomw

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

const (
	// DefaultIPv6Prefix is how many bits of an IPv6 address [KeyByIP] keeps by default.
	DefaultIPv6Prefix = 56

	minIPv6Prefix = 32
	maxIPv6Prefix = 64
)

// KeyByIP counts by the IP address of the client: the one that Echo.IPExtractor gives
// if the application has set it, otherwise that of the TCP peer, and never a header.
// The Security section of the package says what follows from that.
//
// The key is an IPv4 address such as "198.51.100.7", or the first ipv6Prefix bits of an
// IPv6 address, such as "2001:db8:1234:ab00::/56". An address that is missing or is not
// an IP address gives an error that matches [ErrNoKey].
//
// ipv6Prefix is 32 to 64 bits; 0 stands for [DefaultIPv6Prefix] (56). Any other is an
// error of [Config.ToMiddleware].
func KeyByIP(ipv6Prefix int) Keyer {
	if fault := ipv6PrefixFault("KeyByIP: ipv6Prefix", ipv6Prefix); fault != nil {
		return badKey{fault}
	}
	return ipKey{ipv6Prefix: cmp.Or(ipv6Prefix, DefaultIPv6Prefix)}
}

func ipv6PrefixFault(field string, ipv6Prefix int) *ConfigError {
	if ipv6Prefix == 0 || ipv6Prefix >= minIPv6Prefix && ipv6Prefix <= maxIPv6Prefix {
		return nil
	}
	return &ConfigError{
		Field:   field,
		Given:   strconv.Itoa(ipv6Prefix),
		Allowed: fmt.Sprintf("%d to %d bits (0 stands for the default of %d)", minIPv6Prefix, maxIPv6Prefix, DefaultIPv6Prefix),
	}
}

type ipKey struct {
	ipv6Prefix int
	watch      *watch // nil outside of a middleware
}

func (k ipKey) Key(c echo.Context) (string, error) {
	source, text := "the peer's address (http.Request.RemoteAddr)", c.Request().RemoteAddr
	if extract := c.Echo().IPExtractor; extract != nil {
		source, text = "what Echo.IPExtractor returned", extract(c.Request())
	}
	key, ok := addressKey(text, k.ipv6Prefix)
	if !ok {
		return "", fmt.Errorf("%w: %s is not an IP address; set Echo.IPExtractor to an extractor that fits the proxy in front, or Config.Key",
			ErrNoKey, source)
	}
	k.watch.address(c, text)
	return key, nil
}

// KeyByIPHeader counts by the IP address that a header has, such as "CF-Connecting-IP", by
// the rules of [KeyByIP]: all spellings of an IPv4 address are one key, and IPv6 is cut to
// a prefix. [KeyByHeader] would take each spelling, and each address of a network, for
// another client.
//
// A client can send any header. Use it only where all requests come through a proxy that
// sets the header itself, and the server can be reached in no other way.
//
// The header must be there, once, with one address: otherwise the request is refused with
// 400 and an error that matches [ErrNoKey]. A name that is not the name of a header, and an
// ipv6Prefix that KeyByIP does not take, are errors of [Config.ToMiddleware].
func KeyByIPHeader(name string, ipv6Prefix int) Keyer {
	faults := faultsIn(KeyByHeader(name)).within("KeyByIPHeader")
	if fault := ipv6PrefixFault("KeyByIPHeader: ipv6Prefix", ipv6Prefix); fault != nil {
		faults = append(faults, fault)
	}
	if faults != nil {
		return faults
	}
	header, _ := KeyByHeader(name).(requestKey)
	return ipHeaderKey{header: header, ipv6Prefix: cmp.Or(ipv6Prefix, DefaultIPv6Prefix)}
}

type ipHeaderKey struct {
	header     requestKey
	ipv6Prefix int
}

func (k ipHeaderKey) Key(c echo.Context) (string, error) {
	value, err := k.header.Key(c)
	if err != nil {
		return "", err
	}
	key, ok := addressKey(value, k.ipv6Prefix)
	if !ok {
		return "", k.header.unclear(http.StatusBadRequest, "is not an IP address", nil)
	}
	return key, nil
}
