package config_test

import (
	"fmt"
	"maps"
	"net"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/testcert"
)

// startSentinel runs a sentinel that watches a master on a port of this computer.
func startSentinel(t *testing.T, masterPort string, lines ...string) *redisserver.Server {
	t.Helper()
	watch := "sentinel monitor " + redisserver.MasterSet + " 127.0.0.1 " + masterPort + " 1"
	sentinel, err := redisserver.StartSentinel(t.Context(), append([]string{watch}, lines...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sentinel.Stop()) })
	return sentinel
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return port
}

func TestConnectThroughSentinel(t *testing.T) {
	t.Parallel()
	master := startRedis(t, "--requirepass", "s3cret")
	sentinel := startSentinel(t, portOf(t, master.Addr()), "sentinel auth-pass mymaster s3cret")

	r, l := redisAt(t, "redis://:s3cret@"+sentinel.Addr()+"/1?master_set=mymaster")
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	assert.Equal(t, rueidis.ClientModeSentinel, client.Mode())
	decides(t, r, client)
	client.Close()
	assert.ElementsMatch(t, []string{"INFO: redis connected " + sentinel.Addr(), "INFO: redis connected " + master.Addr()}, l.lines(t))

	r, _ = redisAt(t, "redis://"+sentinel.Addr()+"?master_set=other")
	_, err = r.Connect(t.Context())
	require.EqualError(t, err, "the sentinels at "+sentinel.Addr()+` know no master_set "other"`)
}

func TestConnectLogsInToSentinels(t *testing.T) {
	t.Parallel()
	// Sentinels of one master find each other, and these have different logins.
	master, another := startRedis(t, "--requirepass", "s3cret"), startRedis(t, "--requirepass", "s3cret")
	byPassword := startSentinel(t, portOf(t, master.Addr()), "sentinel auth-pass mymaster s3cret", "requirepass s3cret-too")
	byUser := startSentinel(t, portOf(t, another.Addr()), "sentinel auth-pass mymaster s3cret", "user watcher on >s3cret-too allchannels +@all", "user default off")
	url := func(login string, sentinel *redisserver.Server) string {
		return "REDIS_URL=redis://" + login + "@" + sentinel.Addr() + "?master_set=mymaster"
	}
	const password = "REDIS_SENTINEL_PASSWORD=s3cret-too"
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"password":          {[]string{url(":s3cret", byPassword), password}, ""},
		"user":              {[]string{url(":s3cret", byUser), password, "REDIS_SENTINEL_USERNAME=watcher"}, ""},
		"none":              {[]string{url(":s3cret", byPassword)}, "redis at " + byPassword.Addr() + " refused the login: NOAUTH: it asks for a login; give one in REDIS_SENTINEL_PASSWORD"},
		"wrong":             {[]string{url(":s3cret", byPassword), "REDIS_SENTINEL_PASSWORD=s3cret"}, "redis at " + byPassword.Addr() + " refused the login: WRONGPASS: the user or the password of REDIS_SENTINEL_PASSWORD is wrong, or the user is disabled"},
		"wrong for master":  {[]string{url(":s3cret-too", byPassword), password}, "redis at " + master.Addr() + " refused the login: WRONGPASS: the user or the password of REDIS_URL is wrong, or the user is disabled"},
		"wrong user of two": {[]string{url(":s3cret", byUser), password}, "redis at " + byUser.Addr() + " refused the login: WRONGPASS: the user or the password of REDIS_SENTINEL_PASSWORD is wrong, or the user is disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := loadRedis(t, test.environ...)
			client, err := r.Connect(t.Context())
			if test.want != "" {
				require.EqualError(t, err, test.want)
				return
			}
			require.NoError(t, err)
			defer client.Close()
			decides(t, r, client)
		})
	}
}

// Sentinels and nodes speak TLS only, and want certificates.
func TestConnectThroughSentinelOverTLS(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own, client := authority.Sign(t, nil, "localhost", "127.0.0.1"), authority.Sign(t, nil)
	port := startTLS(t, authority, own, "yes")
	sentinelPort := freePort(t)
	startSentinel(t, port, "tls-port "+sentinelPort, "tls-replication yes", "tls-cert-file "+own.Cert, "tls-key-file "+own.Key, "tls-ca-cert-file "+authority.File)
	r := loadRedis(t, "REDIS_URL=rediss://localhost:"+sentinelPort+"?master_set=mymaster",
		"REDIS_CA_FILE="+authority.File, "REDIS_CERT_FILE="+client.Cert, "REDIS_KEY_FILE="+client.Key)
	connected, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer connected.Close()
	decides(t, r, connected)
}

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

// The sentinels and the nodes need not speak the same: plain sentinels of nodes with TLS, and
// the reverse.
func TestConnectThroughSentinelsThatSpeakTLSOrNot(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Sign(t, nil, "localhost", "127.0.0.1")

	port := startTLS(t, authority, own, "no")
	plain := startSentinel(t, port, "tls-replication yes", "tls-cert-file "+own.Cert, "tls-key-file "+own.Key, "tls-ca-cert-file "+authority.File)
	url := "REDIS_URL=rediss://" + plain.Addr() + "?master_set=mymaster"
	r := loadRedis(t, url, "REDIS_SENTINEL_TLS=false", "REDIS_CA_FILE="+authority.File)
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	decides(t, r, client)
	client.Close()
	_, err = loadRedis(t, url, "REDIS_CA_FILE="+authority.File).Connect(t.Context())
	require.ErrorContains(t, err, "; does it speak TLS?", "without the setting")

	master := startRedis(t)
	sentinelPort := freePort(t)
	startSentinel(t, portOf(t, master.Addr()), "tls-port "+sentinelPort, "tls-cert-file "+own.Cert, "tls-key-file "+own.Key, "tls-ca-cert-file "+authority.File, "tls-auth-clients no")
	url = "REDIS_URL=redis://localhost:" + sentinelPort + "?master_set=mymaster"
	r = loadRedis(t, url, "REDIS_SENTINEL_TLS=true", "REDIS_CA_FILE="+authority.File)
	client, err = r.Connect(t.Context())
	require.NoError(t, err)
	decides(t, r, client)
	client.Close()
	_, err = loadRedis(t, url, "REDIS_SENTINEL_TLS=true").Connect(t.Context())
	require.ErrorContains(t, err, "set REDIS_CA_FILE to the certificate of its authority")
	_, err = loadRedis(t, url).Connect(t.Context())
	require.ErrorContains(t, err, "; does it want TLS (REDIS_SENTINEL_TLS)?", "without the setting")
	_, err = loadRedis(t, "REDIS_URL=rediss://localhost:"+sentinelPort+"?master_set=mymaster", "REDIS_SENTINEL_TLS=false").Connect(t.Context())
	require.ErrorContains(t, err, "; does it want TLS (REDIS_SENTINEL_TLS)?", "with a wrong one")
}

// The URL is the platform's, the login is not in it.
func TestConnectWithALoginApartFromTheURL(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--requirepass", "s3cret", "--user", "limiter", "on", ">s3cret-too", "~*", "&*", "+@all")
	at := func(login string) string { return "REDIS_URL=redis://" + login + server.Addr() }
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"password":          {[]string{at(""), "REDIS_PASSWORD=s3cret"}, ""},
		"user and password": {[]string{at(""), "REDIS_USERNAME=limiter", "REDIS_PASSWORD=s3cret-too"}, ""},
		"user in the URL":   {[]string{at("limiter@"), "REDIS_PASSWORD=s3cret-too"}, ""},
		"user apart":        {[]string{at(":s3cret-too@"), "REDIS_USERNAME=limiter"}, ""},
		"twice the same":    {[]string{at("limiter:s3cret-too@"), "REDIS_USERNAME=limiter", "REDIS_PASSWORD=s3cret-too"}, ""},
		"wrong":             {[]string{at(""), "REDIS_PASSWORD=s3cret-too"}, "redis at " + server.Addr() + " refused the login: WRONGPASS: the user or the password of REDIS_PASSWORD is wrong, or the user is disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := loadRedis(t, test.environ...)
			client, err := r.Connect(t.Context())
			if test.want != "" {
				require.EqualError(t, err, test.want)
				return
			}
			require.NoError(t, err)
			defer client.Close()
			decides(t, r, client)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", r, r, r), "s3cret")
		})
	}
}

func TestConnectWithOptionsApartFromTheURL(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	port := startTLS(t, authority, authority.Sign(t, nil, "redis.example"), "no")
	r := loadRedis(t, "REDIS_URL=rediss://localhost:"+port, "REDIS_SKIP_VERIFY=true", "REDIS_CLIENT_CACHE=false", "REDIS_BATCH_SIZE=1", "REDIS_BATCHES_IN_FLIGHT=7")
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	decides(t, r, client)
	info, err := client.Do(t.Context(), client.B().ClientInfo().Build()).ToString()
	require.NoError(t, err)
	assert.Contains(t, info, " flags=N ", "flags=t is that of tracking, which the cache needs")
	assert.Equal(t, 1, r.StoreConfig().BatchSize)
	assert.Equal(t, 7, r.StoreConfig().BatchesInFlight)
}

func TestLoadWhatIsInTheURLOrApart(t *testing.T) {
	const (
		login   = " is not that of REDIS_URL, which has one, too; allowed: one of the two"
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
		"skip verify twice": {env: at("rediss://h?skip_verify", "REDIS_SKIP_VERIFY=false"), want: skip + "skip_verify of REDIS_URL, too; allowed: one of the two"},
		"cache twice":       {env: at("redis://h?client_cache=1", "REDIS_CLIENT_CACHE=true"), want: "redis.client_cache (REDIS_CLIENT_CACHE in the environment) is client_cache of REDIS_URL, too; allowed: one of the two"},
		"cache, protocol 2": {env: at("redis://h?protocol=2", "REDIS_CLIENT_CACHE=true"), want: "redis.client_cache (REDIS_CLIENT_CACHE in the environment) does not go with protocol=2 of REDIS_URL; allowed: with protocol=3"},
		"cache a number":    {env: at("redis://h", "REDIS_CLIENT_CACHE=0"), want: `redis.client_cache (REDIS_CLIENT_CACHE in the environment) is "0"; allowed: true or false`},
		"skip without TLS":  {env: at("redis://h", "REDIS_SKIP_VERIFY=true"), want: skip + "for TLS; allowed: with a REDIS_URL of rediss:// or valkeys://"},
		"skip, sentinels":   {env: at("redis://h?master_set=m", "REDIS_SKIP_VERIFY=true", "REDIS_SENTINEL_TLS=false"), want: skip + "for TLS; allowed: with a REDIS_URL of rediss:// or valkeys://"},
		"skip and CA":       {env: at("rediss://h", "REDIS_SKIP_VERIFY=true", "REDIS_CA_FILE=ca.pem"), want: "redis.ca_file (REDIS_CA_FILE in the environment) contradicts skip_verify, by which no certificate is checked; allowed: one of the two"},
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
