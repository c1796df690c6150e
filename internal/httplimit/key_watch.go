package httplimit

import (
	"log/slog"
	"net/http"
	"strings"
)

// watch looks for mistakes of the set-up in what the Keyers of one middleware find, and warns of
// each once. A nil watch does nothing: a Keyer that an application uses itself has a nil watch.
type watch struct {
	logger func() *slog.Logger

	proxy, plain once
}

// watched returns a copy of a Keyer that w watches.
func watched[C any](key Keyer[C], w *watch) Keyer[C] {
	all := func(keys []Keyer[C]) []Keyer[C] {
		copies := make([]Keyer[C], len(keys))
		for i := range keys {
			copies[i] = watched(keys[i], w)
		}
		return copies
	}
	switch key := key.(type) {
	case ipKey[C]:
		key.watch = w
		return key
	case requestKey[C]:
		key.watch = w
		return key
	case *hashedKey[C]:
		return &hashedKey[C]{key: watched(key.key, w), hashers: key.hashers}
	case joinKey[C]:
		return joinKey[C](all(key))
	case firstKey[C]:
		return firstKey[C](all(key))
	}
	return key
}

// address looks for a proxy whose clients all count as one, because the address that counts
// is that of the peer although the request was forwarded.
func (w *watch) address(r *http.Request, counted string, extracted bool) {
	if w == nil || !w.proxy.due() || !strings.Contains(r.RemoteAddr, counted) || !isForwarded(r.Header) || !isSameAddress(r.RemoteAddr, counted) {
		return
	}
	why := "Echo.IPExtractor does not trust the peer, or does not find an address in the header that it reads"
	if !extracted {
		why = "Echo.IPExtractor is not set"
	}
	w.proxy.warn(w.logger(), "echomw: a request has been forwarded by a proxy, or pretends so, but the address that counts is that of the peer: if there is a proxy, all its clients are counted as one; "+why, helpProxy)
}

// header looks for addresses in a header, each spelling of which counts as a client.
func (w *watch) header(value string) {
	if w == nil || !w.plain.due() {
		return
	}
	if _, ok := addressKey(value, DefaultIPv6Prefix); ok {
		w.plain.warn(w.logger(), "echomw: the header that a key is taken from has an IP address, each spelling of which is another key: use KeyByIPHeader, or ip:header: in place of header:", helpProxy)
	}
}

// isForwarded tells whether a proxy says for whom it has forwarded the request.
func isForwarded(h http.Header) bool {
	for _, field := range [...]string{
		"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "True-Client-Ip", "Fly-Client-Ip", "X-Client-Ip",
	} {
		if len(h[field]) > 0 {
			return true
		}
	}
	return false
}

func isSameAddress(a, b string) bool {
	a, validA := addressKey(a, maxIPv6Prefix)
	b, validB := addressKey(b, maxIPv6Prefix)
	return validA && validB && a == b
}
