package httplimit

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
)

const (
	// DefaultIPv6Prefix is how many bits of an IPv6 address [KeyByIP] keeps by default.
	DefaultIPv6Prefix = 56

	minIPv6Prefix = 32
	maxIPv6Prefix = 64
)

// KeyByIP makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByIP(ipv6Prefix int) Keyer[C] {
	if fault := ipv6PrefixFault("KeyByIP: ipv6Prefix", ipv6Prefix); fault != nil {
		return badKey[C]{faults{fault}}
	}
	return ipKey[C]{f: f, ipv6Prefix: cmp.Or(ipv6Prefix, DefaultIPv6Prefix)}
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

type ipKey[C any] struct {
	f          *Framework[C]
	ipv6Prefix int
	watch      *watch // nil outside of a middleware
}

func (k ipKey[C]) Key(c C) (string, error) {
	request := k.f.Request(c)
	source := "what Echo.IPExtractor returned"
	text, extracted := k.f.ClientIP(c)
	if !extracted {
		source, text = "the peer's address (http.Request.RemoteAddr)", request.RemoteAddr
	}
	key, ok := addressKey(text, k.ipv6Prefix)
	if !ok {
		return "", fmt.Errorf("%w: %s is not an IP address; set Echo.IPExtractor to an extractor that fits the proxy in front, or Config.Key",
			ErrNoKey, source)
	}
	k.watch.address(request, text, extracted)
	return key, nil
}

// KeyByIPHeader makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByIPHeader(name string, ipv6Prefix int) Keyer[C] {
	faults := faultsIn(f.KeyByHeader(name)).within("KeyByIPHeader")
	if fault := ipv6PrefixFault("KeyByIPHeader: ipv6Prefix", ipv6Prefix); fault != nil {
		faults = append(faults, fault)
	}
	if faults != nil {
		return badKey[C]{faults}
	}
	header, _ := f.KeyByHeader(name).(requestKey[C])
	return ipHeaderKey[C]{header: header, ipv6Prefix: cmp.Or(ipv6Prefix, DefaultIPv6Prefix)}
}

type ipHeaderKey[C any] struct {
	header     requestKey[C]
	ipv6Prefix int
}

func (k ipHeaderKey[C]) Key(c C) (string, error) {
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
