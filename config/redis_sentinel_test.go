package config_test

import (
	"net"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
			requireConnects(t, r, test.want)
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
