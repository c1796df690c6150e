package config

import (
	"regexp"
	"slices"
	"strings"
)

const (
	keyHost    = "host"
	keyPort    = "port"
	keyURL     = "redis.url"
	keyPrefix  = "redis.prefix"
	keyTimeout = "redis.timeout"

	keyLifetime  = "redis.connection_lifetime"
	keyOnFailure = "redis.on_failure"
	keyInstances = "redis.instances"

	keyUsername        = "redis.username"
	keyPassword        = "redis.password"
	keySkipVerify      = "redis.skip_verify"
	keyClientCache     = "redis.client_cache"
	keyBatchSize       = "redis.batch_size"
	keyBatchesInFlight = "redis.batches_in_flight"
	keyLease           = "redis.lease"

	keyCAFile           = "redis.ca_file"
	keyCertFile         = "redis.cert_file"
	keyKeyFile          = "redis.key_file"
	keySentinelUser     = "redis.sentinel_username"
	keySentinelPassword = "redis.sentinel_password"
	keySentinelTLS      = "redis.sentinel_tls"

	keyHeaders       = "response.headers"
	keyRefusedStatus = "response.refused_status"
	keyNoKeyStatus   = "response.no_key_status"
	keyFailedStatus  = "response.failed_status"
	keyIPv6Prefix    = "client.ipv6_prefix"
	keySecret        = "client.key_secret"
	keyProxies       = "client.trusted_proxies"
	keyProxyHeader   = "client.proxy_header"

	sectionRedis    = "redis"
	sectionResponse = "response"
	sectionClient   = "client"
	sectionLimits   = "limits"
	fieldMax        = "max"
	fieldWindow     = "window"
	fieldResolution = "resolution"
	fieldBy         = "by"
	fieldMode       = "mode"

	limitsVariables = "LIMITS_"

	limitNameRule = "1 to 64 lower-case letters, digits and underscores, not beginning with an underscore"
)

var (
	plainKeys = []string{
		keyHost, keyPort, keyURL, keyUsername, keyPassword, keyPrefix, keyTimeout, keyLifetime, keyOnFailure, keyInstances,
		keyBatchSize, keyBatchesInFlight, keyLease, keyClientCache, keySkipVerify, keyCAFile, keyCertFile, keyKeyFile,
		keySentinelUser, keySentinelPassword, keySentinelTLS,
		keyHeaders, keyRefusedStatus, keyNoKeyStatus, keyFailedStatus,
		keyIPv6Prefix, keySecret, keyProxies, keyProxyHeader,
	}
	limitFields = []string{fieldMax, fieldWindow, fieldResolution, fieldBy, fieldMode}
	sections    = []string{sectionRedis, sectionResponse, sectionClient, sectionLimits}

	// Every name must have exactly one spelling as a variable, so it has no capitals and no
	// hyphens.
	limitName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,63}$`)
)

func isLimitName(name string) bool { return limitName.MatchString(name) }

func limitKey(name, field string) string { return sectionLimits + "." + name + "." + field }

// limitOf returns the name of the limit that a key belongs to. ok is false for a key that
// limitKey cannot make from a valid name and field.
func limitOf(key string) (name string, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 || parts[0] != sectionLimits || !isLimitName(parts[1]) {
		return "", false
	}
	return parts[1], slices.Contains(limitFields, parts[2])
}

func isKey(key string) bool {
	_, ok := limitOf(key)
	return ok || slices.Contains(plainKeys, key)
}

// variableOf is how a key is spelled in the environment.
func variableOf(key string) string {
	return strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// keyOf is the reverse of variableOf. The name of a limit may have underscores, so the last
// underscore separates the name from the field.
func keyOf(variable string) (key string, ok bool) {
	for _, key := range plainKeys {
		if variable == variableOf(key) {
			return key, true
		}
	}
	rest, ok := strings.CutPrefix(variable, limitsVariables)
	i := strings.LastIndexByte(rest, '_')
	if !ok || i < 0 {
		return "", false
	}
	key = limitKey(strings.ToLower(rest[:i]), strings.ToLower(rest[i+1:]))
	// Only the upper-case spelling counts: two spellings of one key could disagree.
	return key, isKey(key) && variable == variableOf(key)
}

// isSecret reports whether the value of a key must not be shown.
func isSecret(key string) bool {
	return slices.Contains([]string{keyPassword, keySentinelPassword, keySecret}, key)
}

// othersVariables are one slip away from a variable of ours, but other programs use them.
var othersVariables = []string{"REDIS_URI", "REDIS_URLS"}

// judgeVariables reports the unknown variables that were probably meant for this program. Other
// programs, such as docker compose and Kubernetes, use the environment and .env files too, so
// only a variable whose whole name is close to one of ours is an error.
func (s *settings) judgeVariables() {
	ours := make([]string, 0, len(plainKeys))
	for _, key := range plainKeys {
		ours = append(ours, variableOf(key))
	}
	for _, name := range s.merged.MapKeys(sectionLimits) {
		for _, field := range limitFields {
			ours = append(ours, variableOf(limitKey(name, field)))
		}
	}
	for _, unknown := range s.unknown {
		if near := nearVariable(unknown.name, ours); near != "" {
			s.problemf("%s in %s is not a known variable; did you mean %s?", shownName(unknown.name), unknown.from.source, near)
		} else if nearLimit(unknown.name) {
			s.problemf("%s in %s is not a known variable; allowed: %s", shownName(unknown.name), unknown.from.source, s.once(limitVariables))
		}
	}
}

const limitVariables = "LIMITS_<NAME>_MAX, LIMITS_<NAME>_WINDOW, LIMITS_<NAME>_RESOLUTION, LIMITS_<NAME>_BY and LIMITS_<NAME>_MODE, with a name of capital letters, digits and underscores"

// nearVariable returns the variable of ours that the given one was probably meant to be, or "".
func nearVariable(variable string, ours []string) string {
	upper := strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(variable))
	if _, known := keyOf(upper); known {
		return upper // another spelling
	}
	if slices.Contains(othersVariables, upper) || isNamedPort(upper) {
		return ""
	}
	nearest, least := "", len(upper)
	for _, candidate := range ours {
		// One slip in eight letters. A shorter name may have no slip: POST is not PORT.
		d := editDistance(upper, candidate)
		if d < least && d <= len(candidate)/8 && digitsOf(upper) == digitsOf(candidate) {
			nearest, least = candidate, d
		}
	}
	if name, field := limitParts(upper); nearest == "" && field != "" && isLimitName(name) {
		return variableOf(limitKey(name, field))
	}
	return nearest
}

// nearLimit reports whether a variable ends like one of a limit. Its name is missing or not valid.
func nearLimit(variable string) bool {
	upper := strings.ToUpper(variable)
	_, field := limitParts(upper)
	return field != "" && !isNamedPort(upper)
}

// limitParts are the name, in lower case, and the field of the limit that a variable was meant for.
// The field is "" if the last word is not close to any field, such as in LIMITS_PORT_80_TCP, which
// Kubernetes sets for a Service named limits.
func limitParts(upper string) (name, field string) {
	rest, ok := strings.CutPrefix(upper, limitsVariables)
	if !ok {
		return "", ""
	}
	i := strings.LastIndexByte(rest, '_')
	word := strings.ToLower(rest[i+1:])
	for _, field := range limitFields {
		// One slip in three letters. With two slips, MIN and MIB would be close to MAX. BY is too
		// short for a slip.
		if editDistance(word, field) <= len(field)/3 {
			return strings.ToLower(rest[:max(i, 0)]), field
		}
	}
	return "", ""
}

// isNamedPort reports whether Kubernetes may have set a variable for a named port of a Service, such
// as LIMITS_SERVICE_PORT_BY=80 for a port named by.
func isNamedPort(variable string) bool {
	return strings.HasPrefix(variable, limitsVariables) && strings.Contains(variable, "_SERVICE_PORT_")
}

// digitsOf are the digits of a name. A different digit is no slip: REDIS_URL2 is for a second Redis.
func digitsOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, name)
}

// suggestion ends a message about an unknown key. It names the known key that is closest.
func (s *settings) suggestion(key string) string {
	candidates := slices.Clone(plainKeys)
	if parts := strings.Split(key, "."); len(parts) == 3 && isLimitName(parts[1]) {
		for _, field := range limitFields {
			candidates = append(candidates, limitKey(parts[1], field))
		}
	}
	nearest, least := "", 3
	for _, candidate := range candidates {
		// A key is not close if every letter of the last word may be a slip.
		lastWord := candidate[strings.LastIndexByte(candidate, '.')+1:]
		if d := editDistance(key, candidate); d < min(least, len(lastWord)) {
			nearest, least = candidate, d
		}
	}
	if nearest != "" {
		return "did you mean " + nearest + "?"
	}
	return "allowed: " + s.once(strings.Join(plainKeys, ", ")+", limits.<name>.max, limits.<name>.window, limits.<name>.resolution, limits.<name>.by and limits.<name>.mode")
}

// editDistance counts the slips that turn a into b. A slip leaves out, adds or replaces one byte, or
// exchanges two neighbours.
func editDistance(a, b string) int {
	var before []int // the row above the one above
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replace := above[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
