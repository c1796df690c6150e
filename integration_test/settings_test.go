package integration_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// Package config imports no Echo, so it has rules of its own for settings that are for
// echomw. Here they are held together: what one takes the other takes, and for the same.

const keySecret = "a secret of tests"

// loaded is what config makes of one setting.
func loaded(key string, value any) (*config.Config, error) {
	return config.Load(config.Sources{Environ: []string{}, Defaults: map[string]any{
		"redis.url": "memory://", "client.key_secret": keySecret, "limits.api.max": 1, "limits.api.window": "1s", key: value,
	}})
}

// built is whether echomw makes a middleware of these settings.
func built(t require.TestingT, settings echomw.Config) error {
	settings.Limiter = slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Max: 1, Window: time.Second})
	_, err := settings.ToMiddleware()
	return err
}

// agreeOnBy reports whether both take the text.
func agreeOnBy(t require.TestingT, text string) bool {
	options := echomw.KeyOptions{Secret: []byte(keySecret)}
	cfg, refused := loaded("limits.api.by", text)
	key, err := echomw.ParseKey(text, options)
	require.Equal(t, err == nil, refused == nil, "by %q: config says %v, echomw says %v", text, refused, err)
	if err != nil {
		require.ErrorIs(t, err, echomw.ErrInvalidConfig)
		require.ErrorIs(t, refused, config.ErrInvalid)
		return false
	}
	require.NoError(t, built(t, echomw.Config{Key: key}), "%q", text)
	// config passes on a spelling of its own.
	canonical, err := echomw.ParseKey(cfg.Limits["api"].By, options)
	require.NoError(t, err, "%q of %q", cfg.Limits["api"].By, text)
	require.Equal(t, outcome(t, key), outcome(t, canonical), "%q of %q", cfg.Limits["api"].By, text)
	return true
}

// outcome is the key of a request that has some of the things to count by, or else the
// error, which says what it lacks.
func outcome(t require.TestingT, key echomw.Keyer) string {
	request := httptest.NewRequest(http.MethodGet, "/?tenant=acme&a:b=c", nil)
	request.Header.Set("X-API-Key", "live-4711")
	request.AddCookie(&http.Cookie{Name: "session", Value: "s"})
	c := echo.New().NewContext(request, httptest.NewRecorder())
	c.SetPath("/users/:id")
	c.SetParamNames("id", "*")
	c.SetParamValues("7", "rest")
	text, err := key.Key(c)
	if err != nil {
		return err.Error()
	}
	require.NotEmpty(t, text)
	return text
}

func TestConfigAndEchomwTakeTheSameKeys(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"ip", "route", "ip+route", "route+ip", "ip+ip", "ip+route+ip", " ip ", "\tip\n", "ip + route", "\u00a0ip\u2003", "ip\v+\froute", "ip\r\n", "ip\u0085",
		"header:X-API-Key", "header:x-api-key", "header:Host", "header:1", "header:!#$%&'*-.^_`|~", " header:X-API-Key + ip ",
		"cookie:session", "cookie:__Host-id", "cookie:ip", "cookie:a|b",
		"query:tenant", "query:a:b", "query::", "query:filter[a]", "query:é", "query:日本", "query:a b", "query:\x00", "query:\xff", "query:header:x", "query:a,b", "query:a\tb",
		"param:id", "param:*", "param::id", "form:email", "form:first name", "form:hashed:", "form:\u200b",
		"hashed:ip", "hashed:route", "hashed:header:X-API-Key", "hashed:cookie:session", "hashed:query:tenant", "hashed:param:id", "hashed:form:email",
		"hashed:ip+hashed:ip", "hashed:ip + route + hashed:query:tenant", "ip+hashed:param:*", "query:" + strings.Repeat("long", 100),
		"query:user@example.com", "query:redis://a:b@c",
	} {
		assert.True(t, agreeOnBy(t, text), "%q", text)
	}
	for _, text := range []string{
		" ", "\t", "\n", "\u00a0", "+", "++", " + ", "ip+", "+ip", "ip++route", "ip + + route", "ip+ \t",
		"IP", "Ip", "Route", "ROUTE", "ROUTE+ip", "user", "none", "address", "ips", "i p", "ip route", "ip,route", "ip|route", "ip;route", "ip&route", "іp", "ｉｐ", "ip\x00", "\ufeffip", "ip\u200b", "\xff",
		"ip:", "ip:56", "ip: ", "ip:header", "ip:header:", "ip:cookie:x", "route:", "route:x", ":", "::", ":ip", " : ",
		"header", "header:", "header: ", "header: X", "header :X", "header:X Y", "header:X:Y", "header:é", "header:X\tY", "header:X\x00", "header:(X)", "header:X,Y", `header:"X"`, "header:X+", "header:X@Y", "header=X", "header.X", "Header:X", "HEADER:X", "headers:X", "header:\u00a0X", "header:X/Y", "header:\x7f", "header:{X}",
		"cookie", "cookie:", "cookie:a b", "cookie:a=b", "cookie:a;b", "cookie: a", "cookie:é", "Cookie:a",
		"query", "query:", "query: ", "query: a", "query:\ta", "query:\u00a0a", "query :a", "QUERY:a", "query+a", "query:a+b", "query:+a",
		"param", "param:", "param: id", "params:id", "form", "form:", "form:\nemail", "forms:email",
		"hashed", "hashed:", "hashed: ", "hashed: ip", "hashed :ip", "hashed:IP", "hashed:+ip", "hashed:hashed:ip", "hashed:hashed:", "Hashed:ip", "HASHED:ip", "hashed:user", "hashed:ip:", "hashed:header:", "hashed:header: X", "hashed:query: a", "hash:ip", "hashed:\tip", "hashed:\u00a0ip", "hashed:ip+hashed:", "sha256:ip",
	} {
		assert.False(t, agreeOnBy(t, text), "%q", text)
	}
}

func TestConfigAndEchomwTakeTheSameKeysOfAnyPieces(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{
		"ip", "route", "header:", "cookie:", "query:", "param:", "form:", "hashed:", "+", " + ", ":", " ", "\t", "\n", "\u00a0", "\ufeff", "\x00", "\xff", "é",
		"X-API-Key", "session", "tenant", "id", "*", "IP", "Header:", "@", "a:b", "|", ",",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 1, 8).Draw(t, "pieces"), "")
		agreeOnBy(t, text)
	})
}

// The one text on which they differ: to config it is a setting that is not set.
func TestEmptyKeyIsForTheProgramToChoose(t *testing.T) {
	t.Parallel()
	cfg, err := loaded("limits.api.by", "")
	require.NoError(t, err)
	assert.Empty(t, cfg.Limits["api"].By)
	_, err = echomw.ParseKey("", echomw.KeyOptions{})
	assert.ErrorIs(t, err, echomw.ErrInvalidConfig)
}

// agreeOnHeaders reports whether both take the text.
func agreeOnHeaders(t require.TestingT, text string) bool {
	cfg, refused := loaded("response.headers", text)
	headers, err := echomw.ParseHeaders(text)
	require.Equal(t, err == nil, refused == nil, "headers %q: config says %v, echomw says %v", text, refused, err)
	if err != nil {
		require.ErrorIs(t, err, echomw.ErrInvalidConfig)
		require.ErrorIs(t, refused, config.ErrInvalid)
		return false
	}
	require.NoError(t, built(t, echomw.Config{Headers: headers}), "%q", text)
	require.Equal(t, headers.String(), cfg.Response.Headers, "%q", text)
	canonical, err := echomw.ParseHeaders(cfg.Response.Headers)
	require.NoError(t, err, "%q of %q", cfg.Response.Headers, text)
	require.Equal(t, headers, canonical, "%q of %q", cfg.Response.Headers, text)
	return true
}

func TestConfigAndEchomwTakeTheSameHeaders(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"draft-11", "draft-10", "draft-9", "draft-8", "draft-7", "draft-6", "legacy", "none",
		"draft-11,draft-6", "draft-11,legacy", "draft-7,draft-6", "draft-7,legacy", "draft-6,legacy",
		"draft-11,draft-6,legacy", "draft-7,draft-6,legacy",
		"legacy,draft-11", "legacy, draft-6, draft-11", "draft-11, legacy", "draft-11 ,legacy", " draft-11", "draft-11 ", "\tlegacy\t", " \t none \t ", "legacy  ,\t draft-7",
		"legacy,legacy", "none,none", "none , none", "draft-11,draft-11", "draft-8,draft-9", "draft-8,draft-11", "draft-10, draft-9, draft-8", "draft-8,legacy", "legacy,draft-10", "draft-9,draft-6,draft-9", "legacy,legacy,legacy",
		"draft-6,draft-6", "draft-7,draft-7,draft-6",
	} {
		assert.True(t, agreeOnHeaders(t, text), "%q", text)
	}
	for _, text := range []string{
		"", " ", "\t", ",", ",,", " , ", "legacy,", ",legacy", "legacy,,draft-7", "legacy, ,draft-7", "legacy,\t",
		"none,legacy", "legacy,none", "draft-11,none", "none,draft-8", "none,", "none,none,legacy", "draft-11,draft-7,draft-6,legacy,none",
		"draft-11,draft-7", "draft-7,draft-8", "draft-11,draft-7,draft-6", "legacy, draft-6, draft-7, draft-11",
		"Legacy", "LEGACY", "None", "Draft-11", "DRAFT-11", "draft-11,Legacy",
		"draft", "draft-", "draft-1", "draft-5", "draft-06", "draft-011", "draft-12", "draft-6.0", "draft-11-", "draft-+7", "draft7", "draft_7", "draft 7", "draft--7", "draft-٧",
		"all", "true", "false", "off", "default", "standard", "x-ratelimit", "rfc9110", "legacy draft-7", "legacy;draft-7", "legacy|draft-7", "legacy+draft-7", "[legacy]", `"legacy"`,
		"legacy\n", "\nlegacy", "legacy,\ndraft-7", "legacy\r\n", "legacy\r", "\vlegacy", "\flegacy", "legacy\u0085", "legacy\u00a0", "\u00a0legacy", "legacy,\u2003draft-7", "\ufefflegacy", "legacy\u200b", "leg\u0430cy", "draft\u201111", "legacy\x00", "\xff", "légacy",
		"legacy@", "redis://a:b@c", "draft-11,redis://a:b@c", strings.Repeat("legacy", 100),
	} {
		assert.False(t, agreeOnHeaders(t, text), "%q", text)
	}
}

func TestConfigAndEchomwTakeTheSameHeadersOfAnyPieces(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{
		"draft-11", "draft-10", "draft-9", "draft-8", "draft-7", "draft-6", "legacy", "none", ",", ", ", ",", " ", "\t", "\n", "\r", "\v", "\u00a0", "\ufeff", "\x00", "\xff", "-", "1",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(t, "pieces"), "")
		agreeOnHeaders(t, text)
	})
}

// A number of 0 is the default to echomw, and a mistake to config.
func TestConfigAndEchomwTakeTheSameNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key     string
		numbers []int
		made    func(n int) error
	}{
		{"response.refused_status", someStatuses, func(n int) error { return built(t, echomw.Config{Status: echomw.StatusCodes{Refused: n}}) }},
		{"response.no_key_status", someStatuses, func(n int) error { return built(t, echomw.Config{Status: echomw.StatusCodes{NoKey: n}}) }},
		{"response.failed_status", someStatuses, func(n int) error { return built(t, echomw.Config{Status: echomw.StatusCodes{Failed: n}}) }},
		{"client.ipv6_prefix", somePrefixes, func(n int) error { return built(t, echomw.Config{Key: echomw.KeyByIP(n)}) }},
		{"client.ipv6_prefix", somePrefixes, func(n int) error {
			_, err := echomw.ParseKey("route", echomw.KeyOptions{IPv6Prefix: n})
			return err
		}},
	} {
		taken := 0
		for _, n := range test.numbers {
			_, refused := loaded(test.key, n)
			assert.Equal(t, test.made(n) == nil, refused == nil, "%s: %d", test.key, n)
			if refused == nil {
				taken++
			}
		}
		assert.Positive(t, taken, test.key)
		assert.Less(t, taken, len(test.numbers), test.key)
		_, refused := loaded(test.key, 0)
		assert.NoError(t, test.made(0), test.key)
		assert.ErrorIs(t, refused, config.ErrInvalid, test.key)
	}
}

var (
	someStatuses = []int{-429, -1, 1, 40, 99, 100, 101, 199, 200, 204, 299, 300, 304, 399, 400, 401, 403, 404, 413, 428, 429, 430, 499, 500, 503, 598, 599, 600, 601, 999, 1000, 4290}
	somePrefixes = []int{-56, -1, 1, 8, 16, 31, 32, 33, 47, 48, 49, 55, 56, 57, 63, 64, 65, 96, 127, 128, 129, 256}
)

// What is too short a secret for one is for the other.
func TestConfigAndEchomwTakeTheSameSecrets(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"s", "15 bytes long..", "16 bytes long...", "ééééééé", "éééééééé", strings.Repeat("\x00", 15), strings.Repeat("long", 100)} {
		cfg, refused := loaded("client.key_secret", secret)
		_, err := echomw.ParseKey("hashed:ip", echomw.KeyOptions{Secret: []byte(secret)})
		assert.Equal(t, err == nil, refused == nil, "%q", secret)
		if refused == nil {
			assert.Equal(t, secret, string(cfg.Client.KeySecret.Bytes()))
		}
	}
	_, refused := config.Load(config.Sources{Environ: []string{"REDIS_URL=memory://", "LIMITS_API_MAX=1", "LIMITS_API_WINDOW=1s", "LIMITS_API_BY=hashed:ip"}})
	_, err := echomw.ParseKey("hashed:ip", echomw.KeyOptions{})
	assert.ErrorContains(t, refused, "CLIENT_KEY_SECRET")
	// What comes as text may have something around it, which bytes do not.
	_, refused = loaded("client.key_secret", strings.Repeat(" ", 16))
	assert.ErrorContains(t, refused, "begins or ends with a space")
	assert.ErrorIs(t, err, echomw.ErrInvalidConfig)
}

func TestConfigAndEchomwHaveTheSameDefaults(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=memory://"}})
	require.NoError(t, err)
	assert.Equal(t, config.Response{
		Headers:       echomw.DefaultConfig.Headers.String(),
		RefusedStatus: echomw.DefaultConfig.Status.Refused,
		NoKeyStatus:   echomw.DefaultConfig.Status.NoKey,
		FailedStatus:  echomw.DefaultConfig.Status.Failed,
	}, cfg.Response)
	assert.Equal(t, echomw.DefaultIPv6Prefix, cfg.Client.IPv6Prefix)
}
