package echomw

import (
	"errors"
	"strconv"
	"strings"
)

// KeyOptions are what the text of [ParseKey] needs besides.
type KeyOptions struct {
	// IPv6Prefix is how many bits of an IPv6 address to keep, for "ip" and "ip:header:": 32 to 64.
	// Optional. Defaults to DefaultIPv6Prefix (56).
	IPv6Prefix int

	// Secret is that of Hashed, for "hashed:": 16 bytes or more. It is copied.
	// Required if a part begins with "hashed:".
	Secret []byte
}

// ParseKey makes a Keyer from its description in a file of settings, such as
// "ip + route" or "hashed:header:X-API-Key":
//
//	key   = part *( "+" part )       several are joined, see Join
//	part  = [ "hashed:" ] what       see Hashed
//	what  = "ip"                     KeyByIP
//	      / "ip:header:" name        KeyByIPHeader
//	      / "route"                  KeyByRoute
//	      / "pattern"                KeyByPattern
//	      / "header:" name           KeyByHeader
//	      / "cookie:" name           KeyByCookie
//	      / "query:" name            KeyByQuery
//	      / "param:" name            KeyByParam
//	      / "form:" name             KeyByForm
//
// White space around a part is ignored, but there is none in a part around ":". The words
// are lower case. A name cannot have a "+", which begins the next part.
//
// One part gives that Keyer itself. On an error there is none: the error has all that is
// wrong with the text and the options, each as a [*ConfigError] joined by [errors.Join].
// Options are checked even if no part needs them; only the Secret may then be empty.
func ParseKey(text string, options KeyOptions) (Keyer, error) {
	var faults badKey
	if fault := ipv6PrefixFault("KeyOptions.IPv6Prefix", options.IPv6Prefix); fault != nil {
		faults = append(faults, fault)
		options.IPv6Prefix = 0 // reported once is enough
	}
	var keys []Keyer
	hashed := false
	for i, part := range strings.Split(text, "+") {
		what, isHashed := strings.CutPrefix(strings.TrimSpace(part), "hashed:")
		key, known := parsePart(what, options.IPv6Prefix)
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
	return Join(keys...), nil
}

func partField(i int) string { return "ParseKey: part " + strconv.Itoa(i) }

const allowedPart = "ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it"

// parsePart makes the Keyer of a part, or reports that it is none.
func parsePart(text string, ipv6Prefix int) (key Keyer, known bool) {
	if name, ok := strings.CutPrefix(text, "ip:header:"); ok {
		return KeyByIPHeader(name, ipv6Prefix), name == strings.TrimSpace(name)
	}
	word, name, hasName := strings.Cut(text, ":")
	if name != strings.TrimSpace(name) {
		return nil, false
	}
	if !hasName {
		switch word {
		case "ip":
			return KeyByIP(ipv6Prefix), true
		case "route":
			return KeyByRoute(), true
		case "pattern":
			return KeyByPattern(), true
		}
		return nil, false
	}
	switch word {
	case "header":
		return KeyByHeader(name), true
	case "cookie":
		return KeyByCookie(name), true
	case "query":
		return KeyByQuery(name), true
	case "param":
		return KeyByParam(name), true
	case "form":
		return KeyByForm(name), true
	}
	return nil, false
}
