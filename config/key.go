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
		keyBatchSize, keyBatchesInFlight, keyClientCache, keySkipVerify, keyCAFile, keyCertFile, keyKeyFile,
		keySentinelUser, keySentinelPassword, keySentinelTLS,
		keyHeaders, keyRefusedStatus, keyNoKeyStatus, keyFailedStatus,
		keyIPv6Prefix, keySecret, keyProxies, keyProxyHeader,
	}
	limitFields = []string{fieldMax, fieldWindow, fieldResolution, fieldBy, fieldMode}
	sections    = []string{sectionRedis, sectionResponse, sectionClient, sectionLimits}

	// Every name must have a spelling as a variable, and only one: hence no capitals
	// and no hyphens.
	limitName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,63}$`)
)

func isLimitName(name string) bool { return limitName.MatchString(name) }

func limitKey(name, field string) string { return sectionLimits + "." + name + "." + field }

// limitOf is the name of the limit that a key is about, if it is one of limitKey with a
// well-formed name and field.
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

// keyOf is the reverse of variableOf. A name may have underscores of its own, so the
// last one parts the name from the field.
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

// isSecret tells whether the value of a key must not be shown.
func isSecret(key string) bool {
	return slices.Contains([]string{keyPassword, keySentinelPassword, keySecret}, key)
}
