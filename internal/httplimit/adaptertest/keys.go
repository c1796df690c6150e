package adaptertest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
)

// tellKey is a handler that answers with the key.
func tellKey(x Exchange) error {
	key, _ := x.Key()
	return x.JSON(http.StatusOK, key)
}

func keyServer(t *testing.T, adapter Adapter, extract func(*http.Request) string, texts ...string) *server {
	t.Helper()
	return adapter.serve(t, App{
		Limits:  []Limit{{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(100))}, Keys: texts}},
		Handler: tellKey, Extract: extract,
	})
}

func keys(t *testing.T, adapter Adapter) {
	for _, test := range []struct {
		text   string
		target string
		header http.Header
		want   string
	}{
		{"ip", "/users/7", http.Header{"X-Forwarded-For": {"203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}}, "127.0.0.1"},
		{"route", "/users/7", nil, "GET /users/:id"},
		{"pattern", "/users/7", nil, "/users/:id"},
		{"header:X-API-Key", "/users/7", http.Header{"X-Api-Key": {"k"}}, "k"},
		{"cookie:session", "/users/7", http.Header{"Cookie": {"session=s; other=o"}}, "s"},
		{"query:tenant", "/users/7?tenant=acme&x=1", nil, "acme"},
		{"param:id", "/users/7", nil, "7"},
		{"param:*", "/files/a/b", nil, "a/b"},
		{"ip:header:CF-Connecting-IP", "/users/7", http.Header{"Cf-Connecting-Ip": {"2001:DB8:1234:abcd::1"}}, "2001:db8:1234:ab00::/56"},
		{"ip + header:X-API-Key", "/users/7", http.Header{"X-Api-Key": {"a|b"}}, `127.0.0.1|a\|b`},
		{"hashed:header:X-API-Key", "/users/7", http.Header{"X-Api-Key": {"k"}}, "5RqvodQ5IED8xPIBksna0qwZJi0ja4fEWVoaryrx5Rg"},
	} {
		got := keyServer(t, adapter, nil, test.text).do(http.MethodGet, test.target, "", test.header)
		assert.Equal(t, http.StatusOK, got.StatusCode, test.text)
		assert.JSONEq(t, `"`+jsonEscape(test.want)+`"`, got.body, test.text)
	}
	extracted := keyServer(t, adapter, func(r *http.Request) string { return r.Header.Get("X-Client") })
	assert.JSONEq(t, `"198.51.100.7"`, extracted.get("X-Client", "[::ffff:198.51.100.7]:4711").body)
	got := extracted.get("X-Client", "garbage")
	assert.Equal(t, http.StatusForbidden, got.StatusCode)
	assert.NotContains(t, got.body, "IPExtractor", "the cause is for logs")
	assert.Equal(t, "no-store", got.Header.Get("Cache-Control"))
}

func jsonEscape(text string) string {
	escaped := ""
	for _, r := range text {
		if r == '\\' || r == '"' {
			escaped += `\`
		}
		escaped += string(r)
	}
	return escaped
}

// keysThatAreUnclear are refused with 400: what checks the value later may take another.
func keysThatAreUnclear(t *testing.T, adapter Adapter) {
	for _, test := range []struct {
		text, target string
		header       http.Header
		want         string
	}{
		{"header:X-API-Key", "/users/7", nil, "header X-API-Key is missing"},
		{"header:X-API-Key", "/users/7", http.Header{"X-Api-Key": {"a", "b"}}, "header X-API-Key occurs more than once"},
		{"query:tenant", "/users/7?tenant=a&tenant=b", nil, "query parameter tenant occurs more than once"},
		{"query:tenant", "/users/7?Tenant=a", nil, "query parameter tenant is there in another spelling"},
		{"cookie:session", "/users/7", http.Header{"Cookie": {"session=a; session=b"}}, "cookie session occurs more than once"},
		{"param:nope", "/users/7", nil, "path parameter nope is missing"},
		{"ip:header:X-Client", "/users/7", http.Header{"X-Client": {"garbage"}}, "header X-Client is not an IP address"},
	} {
		got := keyServer(t, adapter, nil, test.text).do(http.MethodGet, test.target, "", test.header)
		assert.Equal(t, http.StatusBadRequest, got.StatusCode, test.text)
		assert.JSONEq(t, `{"message": "`+test.want+`"}`, got.body, test.text)
		assert.Empty(t, got.Header.Values("RateLimit"), "it was not counted")
	}
}

// pathParameters: another spelling of one value is no new key, and nothing is decoded twice.
func pathParameters(t *testing.T, adapter Adapter) {
	s := keyServer(t, adapter, nil, "param:id")
	for target, want := range map[string]string{
		"/users/7": "7", "/users/%37": "7", "/users/a%20b": "a b", "/users/a%2Fb": "a/b", "/users/a%2fb": "a/b", "/users/%2537": "%37",
	} {
		got := s.do(http.MethodGet, target, "", nil)
		assert.JSONEq(t, `"`+want+`"`, got.body, target)
	}
}

func firstOf(t *testing.T, adapter Adapter) {
	s := keyServer(t, adapter, nil, "header:X-User", "ip")
	assert.JSONEq(t, `"0:alice"`, s.get("X-User", "alice").body)
	assert.JSONEq(t, `"1:127.0.0.1"`, s.get().body)
	assert.Equal(t, http.StatusBadRequest, s.get("X-User", "a", "X-User", "b").StatusCode, "two are not none")
}

// forms: the key is read from the body, and the handler finds the form all the same.
func forms(t *testing.T, adapter Adapter) {
	s := adapter.serve(t, App{
		Limits: []Limit{{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(100))}, Keys: []string{"form:email"}}},
		Handler: func(x Exchange) error {
			key, _ := x.Key()
			return x.JSON(http.StatusOK, []string{key, x.Request.FormValue("email")})
		},
	})
	urlencoded := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	assert.JSONEq(t, `["a@b.example", "a@b.example"]`, s.do(http.MethodPost, "/users/7", "email=a%40b.example", urlencoded).body)
	multipart := http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}
	assert.JSONEq(t, `["a", "a"]`, s.do(http.MethodPost, "/users/7", "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na\r\n--x--\r\n", multipart).body)
	for target, body := range map[string]string{"/users/7?email=a": "email=b", "/users/8?email=a": "", "/users/9": "Email=a&email=a", "/users/10": "email=%zz"} {
		assert.Equal(t, http.StatusBadRequest, s.do(http.MethodPost, target, body, urlencoded).StatusCode, target)
	}
}
