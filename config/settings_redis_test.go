package config_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
)

func TestLoadSentinelLogin(t *testing.T) {
	requireRefused(t, map[string]wrong{
		"no sentinels":  {env: []string{"REDIS_URL=redis://h", "REDIS_SENTINEL_PASSWORD=s3cret"}, want: "redis.sentinel_password (REDIS_SENTINEL_PASSWORD in the environment) is for sentinels; allowed: with master_set in REDIS_URL"},
		"user alone":    {env: []string{"REDIS_URL=redis://h?master_set=m", "REDIS_SENTINEL_USERNAME=u"}, want: "redis.sentinel_username (REDIS_SENTINEL_USERNAME in the environment) needs redis.sentinel_password (REDIS_SENTINEL_PASSWORD) as well"},
		"number":        {yaml: "redis: {sentinel_password: 12345678}", env: []string{"REDIS_URL=redis://h?master_set=m"}, want: "redis.sentinel_password (config.yaml), not shown as it is a secret: a text is needed; allowed: a text"},
		"user a number": {yaml: "redis: {sentinel_username: 1, sentinel_password: a}", env: []string{"REDIS_URL=redis://h?master_set=m"}, want: "redis.sentinel_username (config.yaml) is 1: a text is needed; allowed: the name of a user"},
	})
	t.Run("shown", func(t *testing.T) {
		r := loadRedis(t, "REDIS_URL=redis://h?master_set=m", "REDIS_SENTINEL_PASSWORD=s3cret")
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", r, r, r), "s3cret")
		assert.Equal(t, "s3cret", string(r.SentinelPassword.Bytes()))
	})
}

func TestLoadWhatIsInTheURLOrApart(t *testing.T) {
	const (
		login   = " differs from that of REDIS_URL; allowed: one of the two"
		skip    = "redis.skip_verify (REDIS_SKIP_VERIFY in the environment) is "
		noColon = `it has a user and no password; allowed: a colon before a password, as in redis://:password@host, or a user and a password, as in redis://user:password@host, or the password in redis.password (REDIS_PASSWORD)`
	)
	at := func(url string, variables ...string) []string { return append(variables, "REDIS_URL="+url) }
	requireRefused(t, map[string]wrong{
		"password twice":    {env: at("redis://:s3cret@h", "REDIS_PASSWORD=s3cret-too"), want: "redis.password (REDIS_PASSWORD in the environment)" + login},
		"empty and another": {env: at("redis://u:@h", "REDIS_PASSWORD=s3cret"), want: "redis.password (REDIS_PASSWORD in the environment)" + login},
		"username twice":    {env: at("redis://u:s3cret@h", "REDIS_USERNAME=v"), want: "redis.username (REDIS_USERNAME in the environment)" + login},
		"in YAML":           {yaml: "redis: {password: s3cret-too}", env: at("redis://u:s3cret@h"), want: "redis.password (config.yaml)" + login},
		"no colon":          {env: at("redis://s3cret@h"), want: `redis.url (REDIS_URL in the environment) is "redis://xxxxx@h": ` + noColon},
		"no colon, unix":    {env: at("unix://s3cret@/run/redis.sock"), want: `redis.url (REDIS_URL in the environment) is "unix://xxxxx@/run/redis.sock": ` + noColon},
		"user alone":        {env: at("redis://h", "REDIS_USERNAME=u"), want: "redis.username (REDIS_USERNAME in the environment) needs redis.password (REDIS_PASSWORD) as well"},
		"password a number": {yaml: "redis: {password: 123456}", env: at("redis://h"), want: "redis.password (config.yaml), not shown as it is a secret: a text is needed; allowed: a text"},
		"skip verify twice": {env: at("rediss://h?skip_verify", "REDIS_SKIP_VERIFY=false"), want: skip + "skip_verify of REDIS_URL as well; allowed: one of the two"},
		"cache twice":       {env: at("redis://h?client_cache=1", "REDIS_CLIENT_CACHE=true"), want: "redis.client_cache (REDIS_CLIENT_CACHE in the environment) is client_cache of REDIS_URL as well; allowed: one of the two"},
		"cache, protocol 2": {env: at("redis://h?protocol=2", "REDIS_CLIENT_CACHE=true"), want: "redis.client_cache (REDIS_CLIENT_CACHE in the environment) does not go with protocol=2 of REDIS_URL; allowed: with protocol=3"},
		"cache a number":    {env: at("redis://h", "REDIS_CLIENT_CACHE=0"), want: `redis.client_cache (REDIS_CLIENT_CACHE in the environment) is "0"; allowed: true or false`},
		"skip without TLS":  {env: at("redis://h", "REDIS_SKIP_VERIFY=true"), want: skip + "for TLS; allowed: with a REDIS_URL of rediss:// or valkeys://"},
		"skip, sentinels":   {env: at("redis://h?master_set=m", "REDIS_SKIP_VERIFY=true", "REDIS_SENTINEL_TLS=false"), want: skip + "for TLS; allowed: with a REDIS_URL of rediss:// or valkeys://"},
		"skip and CA":       {env: at("rediss://h", "REDIS_SKIP_VERIFY=true", "REDIS_CA_FILE=ca.pem"), want: "redis.ca_file (REDIS_CA_FILE in the environment) does not go with skip_verify, which checks no certificate; allowed: one of the two"},
		"sentinel TLS":      {env: at("rediss://h", "REDIS_SENTINEL_TLS=true"), want: "redis.sentinel_tls (REDIS_SENTINEL_TLS in the environment) is for sentinels; allowed: with master_set in REDIS_URL"},
		"sentinel TLS text": {env: at("rediss://h?master_set=m", "REDIS_SENTINEL_TLS=no"), want: `redis.sentinel_tls (REDIS_SENTINEL_TLS in the environment) is "no"; allowed: true or false`},
		"batch size":        {env: at("redis://h", "REDIS_BATCH_SIZE=0"), want: `redis.batch_size (REDIS_BATCH_SIZE in the environment) is "0"; allowed: 1 to 10000`},
		"batch size 2":      {yaml: "redis: {batch_size: 10001}", want: `redis.batch_size (config.yaml) is 10001; allowed: 1 to 10000`},
		"in flight":         {env: at("redis://h", "REDIS_BATCHES_IN_FLIGHT=1001"), want: `redis.batches_in_flight (REDIS_BATCHES_IN_FLIGHT in the environment) is "1001"; allowed: 1 to 1000`},
	})
	// In memory all of it means nothing, and a false that is true anyway is no fault.
	for _, environ := range [][]string{
		at("memory://", "REDIS_USERNAME=u", "REDIS_PASSWORD=p", "REDIS_SKIP_VERIFY=true", "REDIS_CLIENT_CACHE=true", "REDIS_SENTINEL_TLS=true"),
		at("redis://h", "REDIS_SKIP_VERIFY=false", "REDIS_CLIENT_CACHE=true"), at("redis://u:@h"), at("redis://:@h", "REDIS_CLIENT_CACHE=false"),
		at("redis://h?master_set=m", "REDIS_SKIP_VERIFY=true", "REDIS_SENTINEL_TLS=true", "REDIS_SENTINEL_PASSWORD=p"),
	} {
		_, err := config.Load(config.Sources{Environ: environ})
		require.NoError(t, err, "%q", environ)
	}
}

// What is around a text on its way here: two instances would hash one key in two ways, or look
// for another file.
func TestTextsAreWithoutWhatIsAroundThem(t *testing.T) {
	const (
		space   = "it begins or ends with a space or a line break"
		control = "it has a line break, a tab or another control character in it"
		quotes  = "it has quotes around it"
		mark    = "it begins with a byte order mark"
		unseen  = "it begins or ends with a character that cannot be seen"
	)
	const secret = "0123456789abcdef"
	base := map[string]any{
		"redis.url": "rediss://h?master_set=m", "redis.ca_file": "ca.pem", "redis.cert_file": "cert.pem", "redis.key_file": "key.pem", "redis.prefix": "limiter",
		"redis.username": "user-of-redis", "redis.password": secret, "redis.sentinel_username": "watcher", "redis.sentinel_password": secret, "client.key_secret": secret,
		"client.trusted_proxies": "10.0.0.0/8", "client.proxy_header": "X-Real-IP",
	}
	_, err := config.Load(config.Sources{Environ: []string{}, Defaults: base})
	require.NoError(t, err)
	for key, value := range base {
		text := value.(string)
		if key == "client.trusted_proxies" {
			continue // a list, where spaces do not count
		}
		for given, fault := range map[string]string{
			text + "\n": space, text + "\r\n": space, " " + text: space, text + " ": space, text + "\t": space, text + "\u00a0": space,
			"\ufeff" + text: mark, `"` + text + `"`: quotes, "'" + text + "'": quotes, "“" + text + "”": quotes,
			text[:4] + "\n" + text[4:]: control, text + "\x00": control, text + "\u200b": unseen, "\u2060" + text: unseen, text + "\ufeff": unseen,
		} {
			defaults := maps.Clone(base)
			defaults[key] = given
			_, err := config.Load(config.Sources{Environ: []string{}, Defaults: defaults})
			if assert.Error(t, err, "%s %q", key, given) {
				assert.Contains(t, err.Error(), key+" (the program's defaults)")
				assert.Contains(t, err.Error(), fault, "%s %q", key, given)
				assert.NotContains(t, err.Error(), secret)
			}
		}
	}
	// In the middle, or at one end, they are a text's own.
	for _, text := range []string{`a"b'c d` + secret, `"` + secret, secret + "'", "é" + secret} {
		c, err := config.Load(config.Sources{Environ: env("CLIENT_KEY_SECRET=" + text)})
		require.NoError(t, err)
		assert.Equal(t, text, string(c.Client.KeySecret.Bytes()))
	}
}

func TestLoadTLSFiles(t *testing.T) {
	requireRefused(t, map[string]wrong{
		"without TLS":         {env: []string{"REDIS_URL=redis://h", "REDIS_CA_FILE=/ca.pem"}, want: "redis.ca_file (REDIS_CA_FILE in the environment) is for TLS; allowed: with a REDIS_URL of rediss:// or valkeys://"},
		"with skip_verify":    {env: []string{"REDIS_URL=rediss://h?skip_verify=1", "REDIS_CA_FILE=/ca.pem"}, want: "redis.ca_file (REDIS_CA_FILE in the environment) does not go with skip_verify, which checks no certificate; allowed: one of the two"},
		"certificate, no key": {env: []string{"REDIS_URL=rediss://h", "REDIS_CERT_FILE=/c.pem"}, want: "redis.cert_file (REDIS_CERT_FILE in the environment) needs redis.key_file (REDIS_KEY_FILE) as well"},
		"key, no certificate": {yaml: "redis: {key_file: /k.pem}", env: []string{"REDIS_URL=rediss://h"}, want: "redis.key_file (config.yaml) needs redis.cert_file (REDIS_CERT_FILE) as well"},
		"not a path":          {yaml: "redis: {ca_file: 7}", env: []string{"REDIS_URL=rediss://h"}, want: "redis.ca_file (config.yaml) is 7: a text is needed; allowed: the path of a PEM file"},
	})
	t.Run("in memory", func(t *testing.T) {
		r := loadRedis(t, "REDIS_URL=memory://", "REDIS_CA_FILE=/ca.pem", "REDIS_CERT_FILE=/c.pem", "REDIS_KEY_FILE=/k.pem")
		assert.True(t, r.InMemory(), "a program may be tried with the other settings of its deployment")
	})
}

func TestOnFailureRefuses(t *testing.T) {
	requireRefused(t, map[string]wrong{
		"unknown": {env: []string{"REDIS_ON_FAILURE=panic"},
			want: `redis.on_failure (REDIS_ON_FAILURE in the environment) is "panic"; allowed: closed, open or fallback`},
		"instances": {env: []string{"REDIS_ON_FAILURE=fallback", "REDIS_INSTANCES=0"},
			want: `redis.instances (REDIS_INSTANCES in the environment) is "0"; allowed: 1 to 1000000`},
		"too many": {env: []string{"REDIS_ON_FAILURE=fallback", "REDIS_INSTANCES=1000001"},
			want: `redis.instances (REDIS_INSTANCES in the environment) is "1000001"; allowed: 1 to 1000000`},
		"no fallback": {env: []string{"REDIS_INSTANCES=2"},
			want: `redis.instances (REDIS_INSTANCES in the environment) is for the fallback; allowed: with redis.on_failure (REDIS_ON_FAILURE) fallback, which is closed`},
	})
}
