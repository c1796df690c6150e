package httplimit

import (
	"errors"
	"strconv"
	"strings"
)

// KeyOptions are what ParseKey needs in addition to the text.
type KeyOptions struct {
	// IPv6Prefix is how many bits of an IPv6 address to keep, for "ip" and "ip:header:": 32 to 64.
	// Optional. Defaults to DefaultIPv6Prefix (56).
	IPv6Prefix int

	// Secret is that of Hashed, for "hashed:": 16 bytes or more. It is copied.
	// Required if a part begins with "hashed:".
	Secret []byte
}

// ParseKey is what adapters document under this name.
func (f *Framework[C]) ParseKey(text string, options KeyOptions) (Keyer[C], error) {
	var faults faults
	if fault := ipv6PrefixFault("KeyOptions.IPv6Prefix", options.IPv6Prefix); fault != nil {
		faults = append(faults, fault)
		options.IPv6Prefix = 0 // reported once is enough
	}
	var keys []Keyer[C]
	hashed := false
	for i, part := range strings.Split(text, "+") {
		what, isHashed := strings.CutPrefix(strings.TrimSpace(part), "hashed:")
		key, known := f.parsePart(what, options.IPv6Prefix)
		if !known {
			faults = append(faults, &ConfigError{Field: partField(i), Given: shown(strings.TrimSpace(part), text), Allowed: allowedPart})
			continue
		}
		faults = append(faults, faultsIn(key).within(partField(i))...)
		if isHashed {
			hashed = true
			key = Hashed(options.Secret, key)
		}
		keys = append(keys, key)
	}
	if hashed || len(options.Secret) > 0 {
		if fault := secretFault("KeyOptions.Secret", options.Secret); fault != nil {
			faults = append(faults, fault)
		}
	}
	if faults != nil {
		return nil, errors.Join(faults.errors()...)
	}
	if len(keys) == 1 {
		return keys[0], nil
	}
	return Join(keys), nil
}

func partField(i int) string { return "ParseKey: part " + strconv.Itoa(i) }

const allowedPart = "ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it"

// parsePart makes the Keyer of a part, or reports that it is none.
func (f *Framework[C]) parsePart(text string, ipv6Prefix int) (key Keyer[C], known bool) {
	if name, ok := strings.CutPrefix(text, "ip:header:"); ok {
		return f.KeyByIPHeader(name, ipv6Prefix), name == strings.TrimSpace(name)
	}
	word, name, hasName := strings.Cut(text, ":")
	if name != strings.TrimSpace(name) {
		return nil, false
	}
	if !hasName {
		switch word {
		case "ip":
			return f.KeyByIP(ipv6Prefix), true
		case "route":
			return f.KeyByRoute(), true
		case "pattern":
			return f.KeyByPattern(), true
		}
		return nil, false
	}
	switch word {
	case "header":
		return f.KeyByHeader(name), true
	case "cookie":
		return f.KeyByCookie(name), true
	case "query":
		return f.KeyByQuery(name), true
	case "param":
		return f.KeyByParam(name), true
	case "form":
		return f.KeyByForm(name), true
	}
	return nil, false
}
