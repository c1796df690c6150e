package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
)

// Each of these tests has a setting change what a client sees, or what the log says.

func TestHeadersAreOfTheFormatsInTheSettings(t *testing.T) {
	t.Parallel()
	all := []string{
		"RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
		"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
	}
	for formats, want := range map[string][]string{
		"":                  {all[0], all[1]},
		"draft-11":          {all[0], all[1]},
		"draft-7":           {all[0], all[1]},
		"draft-6":           {all[1], all[2], all[3], all[4]},
		"legacy":            {all[5], all[6], all[7]},
		"legacy , draft-10": {all[0], all[1], all[5], all[6], all[7]},
		"none":              nil,
	} {
		i := start(t, "REDIS_URL=memory://", "LIMITS_LOGIN_MAX=1", "RESPONSE_HEADERS="+formats)
		for _, status := range []int{http.StatusOK, http.StatusTooManyRequests} {
			r := i.login(t)
			require.Equal(t, status, r.status, formats)
			var got []string
			for _, name := range all {
				if r.header.Get(name) != "" {
					got = append(got, name)
				}
			}
			assert.Equal(t, want, got, formats)
			assert.Equal(t, status != http.StatusOK, r.header.Get("Retry-After") != "", formats)
		}
	}
}

func TestFormatsShowTheNumbersOfBothLimits(t *testing.T) {
	t.Parallel()
	for formats, want := range map[string]map[string]string{
		"draft-7": {"RateLimit": "limit=5, remaining=4, reset=600", "RateLimit-Policy": "100;w=900"},
		"legacy":  {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "4"},
	} {
		r := start(t, "REDIS_URL=memory://", "RESPONSE_HEADERS="+formats).login(t)
		require.Equal(t, http.StatusOK, r.status)
		for name, value := range want {
			assert.Equal(t, value, r.header.Get(name), formats)
		}
	}
}

func TestRefusalsHaveTheStatusOfTheSettings(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://", "LIMITS_API_MAX=1", "RESPONSE_REFUSED_STATUS=503")
	require.Equal(t, http.StatusOK, i.get(t, "/api/users").status)
	r := i.get(t, "/api/users")
	assert.Equal(t, http.StatusServiceUnavailable, r.status)
	assert.Equal(t, refusalBody, r.body)
	assert.NotEmpty(t, r.header.Get("Retry-After"))
	assert.NotContains(t, i.log.String(), "request failed", "a refusal is no fault, whatever its status")
}

func TestOutagesHaveTheStatusOfTheSettings(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	for status, text := range map[string]string{"500": "Internal Server Error", "418": "I'm a teapot"} {
		i := start(t, "REDIS_URL="+server.URL(), "RESPONSE_FAILED_STATUS="+status)
		require.NoError(t, server.Kill())
		r := i.get(t, "/api/users")
		assert.Equal(t, text, http.StatusText(r.status))
		assert.Equal(t, `{"success":false,"message":"`+text+`"}`, r.body)
		assert.Contains(t, i.log.String(), "request failed", "an outage is a fault, whatever its status")
		require.NoError(t, server.Restart(t.Context()))
	}
}

func TestDataOfOthersInRedisIsAFaultWhateverItsStatus(t *testing.T) {
	t.Parallel()
	environ := onRedis(t, "RESPONSE_FAILED_STATUS=418", "LIMITS_API_BY=header:X-API-Key")
	cfg, err := load(environ)
	require.NoError(t, err)
	client := redistest.Client(t)
	require.NoError(t, client.Do(t.Context(), client.B().Set().Key(cfg.Redis.Prefix+":{live-4711}:api").Value("of others").Build()).Error())
	i := start(t, environ...)
	assert.Equal(t, http.StatusTeapot, i.get(t, "/api/users", "X-API-Key", "live-4711").status)
	assert.Contains(t, i.log.String(), "request failed")
	assert.NotContains(t, i.log.String(), "live-4711")
}

func TestOutageRefusesNothingInShadowMode(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	i := start(t, "REDIS_URL="+server.URL(), "LIMITS_API_MODE=shadow")
	require.NoError(t, server.Kill())
	assert.Equal(t, http.StatusOK, i.get(t, "/api/users").status)
	assert.Contains(t, i.log.String(), "in shadow mode, requests that cannot be decided are passed on")
	assert.Equal(t, http.StatusServiceUnavailable, i.login(t).status, "the other limit is not in shadow mode")
}

// answer is the answer of a server with these settings to a peer of any address, which
// a test that connects cannot have.
func answer(t *testing.T, server http.Handler, peer string) int {
	t.Helper()
	return answerTo(t, server, peer, http.MethodGet, "/api/users")
}

func answerTo(t *testing.T, server http.Handler, peer, method, path string) int {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	request.RemoteAddr = peer
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, request)
	return recorder.Code
}

func serverOf(t *testing.T, environ ...string) http.Handler {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	cfg, err := load(append([]string{"REDIS_URL=memory://"}, environ...))
	require.NoError(t, err)
	store, err := cfg.Redis.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(store.Close)
	server, err := newHandler(cfg, store, logger)
	require.NoError(t, err)
	return server
}

func TestPeersWithoutAnAddressGetTheStatusOfTheSettings(t *testing.T) {
	t.Parallel()
	assert.Equal(t, http.StatusForbidden, answer(t, serverOf(t), "@"))
	assert.Equal(t, http.StatusUnauthorized, answer(t, serverOf(t, "RESPONSE_NO_KEY_STATUS=401"), "@"))
}

func TestEachAddressHasQuotasOfItsOwn(t *testing.T) {
	t.Parallel()
	server := serverOf(t, "LIMITS_API_MAX=3", "LIMITS_LOGIN_MAX=1")
	login := func(peer string) int { return answerTo(t, server, peer, http.MethodPost, "/api/users/login") }
	for _, peer := range []string{"192.0.2.1:1", "192.0.2.2:1"} {
		assert.Equal(t, http.StatusBadRequest, login(peer), "without a password")
		assert.Equal(t, http.StatusTooManyRequests, login(peer), "what fails counts, too")
		assert.Equal(t, http.StatusOK, answer(t, server, peer))
		assert.Equal(t, http.StatusTooManyRequests, answer(t, server, peer))
	}
}

// Three clients behind a proxy, whose header is believed from it and from nobody else.
func TestClientsBehindAProxyAreToldApartByTheSettings(t *testing.T) {
	t.Parallel()
	const proxy, another, client = "10.0.0.1:1", "192.0.2.1:1", "203.0.113."
	for name, test := range map[string]struct {
		environ []string
		header  string
		peer    string
		values  []string // of each request's header
		want    []int
	}{
		"not trusted":         {nil, "X-Forwarded-For", proxy, []string{client + "1", client + "2"}, []int{200, 429}},
		"trusted":             {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8"}, "X-Forwarded-For", proxy, []string{client + "1", client + "2", client + "1"}, []int{200, 200, 429}},
		"from another":        {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8"}, "X-Forwarded-For", another, []string{client + "1", client + "2"}, []int{200, 429}},
		"from a private one":  {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8"}, "X-Forwarded-For", "192.168.0.1:1", []string{client + "1", client + "2"}, []int{200, 429}},
		"made up by a client": {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8"}, "X-Forwarded-For", proxy, []string{"1.1.1.1, " + client + "1", "2.2.2.2, " + client + "1"}, []int{200, 429}},
		"two proxies":         {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.1,2001:db8::/32"}, "X-Forwarded-For", proxy, []string{client + "1, 2001:db8::1", client + "2, 2001:db8::2"}, []int{200, 200}},
		"mapped":              {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8"}, "X-Forwarded-For", "[::ffff:10.0.0.1]:1", []string{client + "1", client + "2"}, []int{200, 200}},
		"other header":        {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8", "CLIENT_PROXY_HEADER=cf-connecting-ip"}, "CF-Connecting-IP", proxy, []string{client + "1", client + "2", "::ffff:" + client + "1"}, []int{200, 200, 429}},
		"other, mapped":       {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8", "CLIENT_PROXY_HEADER=X-Real-IP"}, "X-Real-IP", "[::ffff:10.0.0.1]:1", []string{client + "1", client + "2"}, []int{200, 200}},
		"other, from another": {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8", "CLIENT_PROXY_HEADER=X-Real-IP"}, "X-Real-IP", another, []string{client + "1", client + "2"}, []int{200, 429}},
		"other, no address":   {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8", "CLIENT_PROXY_HEADER=X-Real-IP"}, "X-Real-IP", proxy, []string{"a", "b"}, []int{200, 429}},
		"not that header":     {[]string{"CLIENT_TRUSTED_PROXIES=10.0.0.0/8", "CLIENT_PROXY_HEADER=X-Real-IP"}, "X-Forwarded-For", proxy, []string{client + "1", client + "2"}, []int{200, 429}},
	} {
		server := serverOf(t, append(test.environ, "LIMITS_API_MAX=1")...)
		var got []int
		for _, value := range test.values {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/users", nil)
			request.RemoteAddr = test.peer
			request.Header.Set(test.header, value)
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, request)
			got = append(got, recorder.Code)
		}
		assert.Equal(t, test.want, got, name)
	}
}

func TestIPv6PrefixTellsClientsApart(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string][2]int{ // of the other /64 and of the other /56
		"":   {http.StatusTooManyRequests, http.StatusOK},
		"64": {http.StatusOK, http.StatusOK},
		"56": {http.StatusTooManyRequests, http.StatusOK},
		"48": {http.StatusTooManyRequests, http.StatusTooManyRequests},
	} {
		server := serverOf(t, "LIMITS_API_MAX=1", "CLIENT_IPV6_PREFIX="+prefix)
		require.Equal(t, http.StatusOK, answer(t, server, "[2001:db8:1:a00::1]:1"), prefix)
		assert.Equal(t, http.StatusTooManyRequests, answer(t, server, "[2001:db8:1:a00::2]:1"), prefix)
		assert.Equal(t, want[0], answer(t, server, "[2001:db8:1:a01::1]:1"), prefix)
		assert.Equal(t, want[1], answer(t, server, "[2001:db8:1:b00::1]:1"), prefix)
	}
}

func TestLimitsCountWhomTheSettingsSay(t *testing.T) {
	t.Parallel()
	environ := onRedis(t, "LIMITS_API_MAX=2", "LIMITS_API_BY=header:X-API-Key")
	instances := []*instance{start(t, environ...), start(t, environ...)}
	for n := range 3 {
		want := http.StatusOK
		if n == 2 {
			want = http.StatusTooManyRequests
		}
		for _, key := range []string{"key-of-ada", "key-of-grace"} {
			assert.Equal(t, want, instances[n%2].get(t, "/api/users", "X-API-Key", key).status, "%s, request %d", key, n+1)
		}
	}
	r := instances[0].get(t, "/api/users")
	assert.Equal(t, http.StatusBadRequest, r.status)
	assert.Equal(t, `{"success":false,"message":"header X-API-Key is missing"}`, r.body)
}

func TestEachLimitCountsWhomItsOwnSettingSays(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://", "LIMITS_API_BY=route", "LIMITS_API_MAX=2", "LIMITS_LOGIN_BY=ip+header:X-Device", "LIMITS_LOGIN_MAX=1")
	login := func(device string) int {
		return i.do(t, http.MethodPost, "/api/users/login", `{"username": "ada", "password": "x"}`, "Content-Type", "application/json", "X-Device", device).status
	}
	assert.Equal(t, http.StatusOK, login("phone"))
	assert.Equal(t, http.StatusOK, login("laptop"), "another device has a quota of its own")
	assert.Equal(t, http.StatusTooManyRequests, login("tablet"), "the route has not")
	assert.Equal(t, http.StatusOK, i.get(t, "/api/users").status, "another route has")
}

func TestHashedKeysReachNeitherRedisNorTheLog(t *testing.T) {
	t.Parallel()
	const key = "live-4711"
	for by, inClear := range map[string]bool{"header:X-API-Key": true, "hashed:header:X-API-Key": false} {
		environ := onRedis(t, "LIMITS_API_MAX=1", "LIMITS_API_BY="+by, "CLIENT_KEY_SECRET=a secret of tests")
		instances := []*instance{start(t, environ...), start(t, environ...)}
		require.Equal(t, http.StatusOK, instances[0].get(t, "/api/users", "X-API-Key", key).status)
		assert.Equal(t, http.StatusTooManyRequests, instances[1].get(t, "/api/users", "X-API-Key", key).status, "one secret, one quota")
		assert.Equal(t, http.StatusOK, instances[1].get(t, "/api/users", "X-API-Key", key+"2").status)

		keys := keysInRedis(t, environ)
		require.Len(t, keys, 2, by)
		assert.Equal(t, inClear, strings.Contains(strings.Join(keys, " "), key), "%s: %q", by, keys)
		for _, i := range instances {
			assert.NotContains(t, i.log.String(), key, by)
			assert.NotContains(t, i.log.String(), "a secret of tests", by)
		}
	}

	environ := onRedis(t, "LIMITS_API_MAX=1", "LIMITS_API_BY=hashed:header:X-API-Key")
	for _, secret := range []string{"a secret of tests", "another secret of tests"} {
		i := start(t, append(environ, "CLIENT_KEY_SECRET="+secret)...)
		assert.Equal(t, http.StatusOK, i.get(t, "/api/users", "X-API-Key", key).status, "each secret has its quotas")
	}
}

// keysInRedis are the names of the keys that instances of an environment have written.
func keysInRedis(t *testing.T, environ []string) (keys []string) {
	t.Helper()
	cfg, err := load(environ)
	require.NoError(t, err)
	for _, node := range redistest.Client(t).Nodes() {
		for cursor := uint64(0); ; {
			scan, err := node.Do(t.Context(), node.B().Scan().Cursor(cursor).Match(cfg.Redis.Prefix+":*").Count(1000).Build()).AsScanEntry()
			require.NoError(t, err)
			keys = append(keys, scan.Elements...)
			if cursor = scan.Cursor; cursor == 0 {
				break
			}
		}
	}
	return keys
}

func TestLimitInShadowModeRefusesNothingAndLogs(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://", "LIMITS_API_MAX=1", "LIMITS_API_MODE=shadow", "LIMITS_LOGIN_MAX=1")
	for n := range 4 {
		r := i.get(t, "/api/users")
		assert.Equal(t, http.StatusOK, r.status, "request %d", n+1)
		assert.Empty(t, r.header.Get("RateLimit"), "clients obey what they are told")
		assert.Empty(t, r.header.Get("Retry-After"))
	}
	lines := refusalsIn(i)
	require.Len(t, lines, 1)
	assert.Regexp(t, `limit=api reason=shadow retry_after=1\dm[0-9.]+s$`, lines[0])

	assert.Equal(t, http.StatusOK, i.login(t).status)
	assert.Equal(t, http.StatusTooManyRequests, i.login(t).status, "the other limit is not in shadow mode")
}

func TestFirstRefusalIsLoggedOnceForEachClientAndLimit(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://", "LIMITS_API_MAX=3", "LIMITS_API_BY=header:X-API-Key", "LIMITS_LOGIN_MAX=1")
	login := func(key string) int {
		return i.do(t, http.MethodPost, "/api/users/login", `{"username": "ada", "password": "x"}`, "Content-Type", "application/json", "X-API-Key", key).status
	}
	assert.Equal(t, http.StatusOK, login("live-1"))
	assert.Empty(t, refusalsIn(i))
	for range 5 { // 2 by login, 3 by api
		assert.Equal(t, http.StatusTooManyRequests, login("live-1"))
	}
	lines := refusalsIn(i)
	require.Len(t, lines, 2)
	assert.Regexp(t, `limit=login reason=refused retry_after=\dm[0-9.]+s$`, lines[0])
	assert.Regexp(t, `limit=api reason=refused retry_after=1\dm[0-9.]+s$`, lines[1])

	for range 5 {
		i.get(t, "/api/users", "X-API-Key", "live-2")
	}
	lines = refusalsIn(i)
	require.Len(t, lines, 3, "another client is another episode")
	for _, line := range lines {
		assert.NotContains(t, line, "live-")
		assert.NotContains(t, line, "127.0.0.1")
	}
}

// refusalsIn are the lines of an instance's log that tell of limits reached.
func refusalsIn(i *instance) (lines []string) {
	for line := range strings.Lines(i.log.String()) {
		if strings.Contains(line, `msg="limit reached"`) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
