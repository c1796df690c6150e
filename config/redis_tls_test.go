package config_test

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
	"github.com/seed-e8747a6b/ratelimit/internal/testcert"
)

// loadRedis loads settings as a program does.
func loadRedis(t *testing.T, environ ...string) config.Redis {
	t.Helper()
	c, err := config.Load(config.Sources{Environ: environ})
	require.NoError(t, err)
	return c.Redis
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := subprocess.FreePort()
	require.NoError(t, err)
	return strconv.Itoa(port)
}

// startTLS runs a server that speaks TLS on the port that it returns, and asks for
// certificates of clients if authClients is "yes".
func startTLS(t *testing.T, authority *testcert.Authority, own testcert.Pair, authClients string) (port string) {
	t.Helper()
	port = freePort(t)
	startRedis(t, tlsArgs(port, authority, own, authClients)...)
	return port
}

func tlsArgs(port string, authority *testcert.Authority, own testcert.Pair, authClients string) []string {
	return []string{
		"--tls-port", port, "--tls-cert-file", own.Cert, "--tls-key-file", own.Key,
		"--tls-ca-cert-file", authority.File, "--tls-auth-clients", authClients,
	}
}

func TestConnectOverTLS(t *testing.T) {
	t.Parallel()
	authority, another := testcert.New(t), testcert.New(t)
	own := authority.Sign(t, nil, "localhost", "127.0.0.1")
	client, stranger := authority.Sign(t, nil), another.Sign(t, nil)
	lax := startTLS(t, authority, own, "no")
	strict := startTLS(t, authority, own, "yes")
	misnamed := startTLS(t, authority, authority.Sign(t, nil, "redis.example"), "no")
	expired := startTLS(t, authority, authority.Sign(t, testcert.Expired, "localhost"), "no")

	ca := "REDIS_CA_FILE=" + authority.File
	shows := func(pair testcert.Pair) []string {
		return []string{"REDIS_CERT_FILE=" + pair.Cert, "REDIS_KEY_FILE=" + pair.Key}
	}
	const (
		untrusted = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
		// A server that refuses a certificate says why and hangs up at once, and may be faster
		// with the latter.
		hungUp = "[a-z: ]+; does it "
	)
	for name, test := range map[string]struct {
		url     string
		environ []string
		want    string // how the error goes on after the address, "" for none
	}{
		"trusted":             {"rediss://localhost:" + lax, []string{ca}, ""},
		"trusted by IP":       {"valkeys://127.0.0.1:" + lax, []string{ca}, ""},
		"not checked":         {"rediss://localhost:" + lax + "?skip_verify=true", nil, ""},
		"RESP2":               {"rediss://localhost:" + lax + "?protocol=2", []string{ca}, ""},
		"mutual":              {"rediss://localhost:" + strict, append(shows(client), ca), ""},
		"unknown authority":   {"rediss://localhost:" + lax, nil, untrusted + "; set REDIS_CA_FILE to the certificate of its authority"},
		"another authority":   {"rediss://localhost:" + lax, []string{"REDIS_CA_FILE=" + another.File}, untrusted + "; it is not that of REDIS_CA_FILE"},
		"wrong host":          {"rediss://localhost:" + misnamed, []string{ca}, "tls: failed to verify certificate: x509: certificate is valid for redis.example, not localhost"},
		"no certificate":      {"rediss://localhost:" + strict, []string{ca}, hungUp + `ask for a certificate \(REDIS_CERT_FILE, REDIS_KEY_FILE\)\?`},
		"unknown certificate": {"rediss://localhost:" + strict, append(shows(stranger), ca), hungUp + `trust the certificate of REDIS_CERT_FILE\?`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := loadRedis(t, append(test.environ, "REDIS_URL="+test.url)...)
			client, err := r.Connect(t.Context())
			if test.want == "" {
				require.NoError(t, err)
				defer client.Close()
				decides(t, r, client)
				return
			}
			assert.Regexp(t, "^cannot reach redis at "+addrOf(t, test.url)+": "+test.want+"$", err)
		})
	}
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		_, err := loadRedis(t, ca, "REDIS_URL=rediss://localhost:"+expired).Connect(t.Context())
		require.ErrorContains(t, err, "cannot reach redis at localhost:"+expired+": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time ")
		var invalid x509.CertificateInvalidError
		require.ErrorAs(t, err, &invalid)
	})
	t.Run("no TLS there", func(t *testing.T) {
		t.Parallel()
		server := startRedis(t)
		_, err := loadRedis(t, ca, "REDIS_URL=rediss://"+server.Addr()).Connect(t.Context())
		require.ErrorContains(t, err, "cannot reach redis at "+server.Addr()+": ")
		assert.ErrorContains(t, err, "TLS")
	})
	t.Run("TLS only", func(t *testing.T) {
		t.Parallel()
		_, err := loadRedis(t, "REDIS_URL=redis://localhost:"+lax).Connect(t.Context())
		require.ErrorContains(t, err, "cannot reach redis at localhost:"+lax+": ")
		assert.ErrorContains(t, err, "; does it want TLS (rediss://)?")
	})
}

func addrOf(t *testing.T, url string) string {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	require.NoError(t, err)
	return option.InitAddress[0]
}

// A node that the cluster names by its IP address shows the name of the URL's host.
func TestConnectToClusterOverTLS(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Sign(t, nil, "localhost")
	cluster, err := redisserver.StartCluster(t.Context(), 3, append(tlsArgs(redisserver.FreePort, authority, own, "yes"), "--tls-cluster", "yes")...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	port, err := cluster.Nodes[0].Do(t.Context(), "--raw", "config", "get", "tls-port")
	require.NoError(t, err)
	_, port, _ = strings.Cut(port, "\n")
	client := authority.Sign(t, nil)
	r := loadRedis(t, "REDIS_URL=rediss://localhost:"+port, "REDIS_CA_FILE="+authority.File, "REDIS_CERT_FILE="+client.Cert, "REDIS_KEY_FILE="+client.Key)
	connected, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer connected.Close()
	assert.Equal(t, rueidis.ClientModeCluster, connected.Mode())
	decides(t, r, connected)
}

// A certificate that was renewed is shown by the next connection.
func TestConnectReadsRenewedCertificates(t *testing.T) {
	t.Parallel()
	authority, next := testcert.New(t), testcert.New(t)
	port := freePort(t)
	server := startRedis(t, tlsArgs(port, authority, authority.Sign(t, nil, "localhost"), "yes")...)
	first, second := authority.Sign(t, nil), next.Sign(t, nil)
	dir := t.TempDir()
	files := map[string]string{"ca": authority.File, "cert": first.Cert, "key": first.Key}
	install := func() {
		for name, from := range files {
			content, err := os.ReadFile(from)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		}
	}
	install()
	r := loadRedis(t, "REDIS_URL=rediss://localhost:"+port, "REDIS_CA_FILE="+filepath.Join(dir, "ca"),
		"REDIS_CERT_FILE="+filepath.Join(dir, "cert"), "REDIS_KEY_FILE="+filepath.Join(dir, "key"))
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()

	renewed := next.Sign(t, nil, "localhost")
	_, err = server.Do(t.Context(), "config", "set", "tls-cert-file", renewed.Cert, "tls-key-file", renewed.Key, "tls-ca-cert-file", next.File)
	require.NoError(t, err)
	_, err = server.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return ping(t, client) != nil }, patience, poll, "the old one is not trusted any more")
	files = map[string]string{"ca": next.File, "cert": second.Cert, "key": second.Key}
	install()
	require.Eventually(t, func() bool { return ping(t, client) == nil }, patience, poll)
}

func TestConnectNamesTheFileThatIsWrong(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	pair, other := authority.Sign(t, nil), authority.Sign(t, nil)
	dir := t.TempDir()
	missing, notPEM := filepath.Join(dir, "missing.pem"), filepath.Join(dir, "not.pem")
	require.NoError(t, os.WriteFile(notPEM, []byte("s3cret"), 0o600))
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"no CA":     {[]string{"REDIS_CA_FILE=" + missing}, "redis.ca_file cannot be read: open " + missing + ": no such file or directory"},
		"odd CA":    {[]string{"REDIS_CA_FILE=" + notPEM}, "redis.ca_file: " + notPEM + " holds no certificate in PEM form"},
		"no cert":   {[]string{"REDIS_CERT_FILE=" + missing, "REDIS_KEY_FILE=" + pair.Key}, "redis.cert_file cannot be read: open " + missing + ": no such file or directory"},
		"no key":    {[]string{"REDIS_CERT_FILE=" + pair.Cert, "REDIS_KEY_FILE=" + missing}, "redis.key_file cannot be read: open " + missing + ": no such file or directory"},
		"not a key": {[]string{"REDIS_CERT_FILE=" + pair.Cert, "REDIS_KEY_FILE=" + notPEM}, "redis.cert_file (" + pair.Cert + ") and redis.key_file (" + notPEM + ") are no certificate and its private key: tls: failed to find any PEM data in key input"},
		"other key": {[]string{"REDIS_CERT_FILE=" + pair.Cert, "REDIS_KEY_FILE=" + other.Key}, "redis.cert_file (" + pair.Cert + ") and redis.key_file (" + other.Key + ") are no certificate and its private key: tls: private key does not match public key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dialled := make(chan struct{}, 1)
			addr := serve(t, func(net.Conn) { dialled <- struct{}{} })
			_, err := loadRedis(t, append(test.environ, "REDIS_URL=rediss://"+addr)...).Connect(t.Context())
			require.EqualError(t, err, test.want)
			assert.Empty(t, dialled, "it is found before")
		})
	}
}
