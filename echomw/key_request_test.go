package echomw_test

import (
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// A request of the tests, to GET /users/1 if nothing else is said.
func request(options ...requestOption) *http.Request {
	req := httptest.NewRequest(http.MethodGet, "/users/1", nil)
	req.RemoteAddr = peer
	for _, option := range options {
		option(req)
	}
	return req
}

func query(text string) requestOption {
	return func(r *http.Request) { r.URL.RawQuery = text }
}

// body makes it a POST request.
func body(contentType, text string) requestOption {
	return func(r *http.Request) {
		post := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
		r.Method, r.Body, r.ContentLength = post.Method, post.Body, post.ContentLength
		r.Header.Set(echo.HeaderContentType, contentType)
	}
}

func urlencoded(text string) requestOption { return body(echo.MIMEApplicationForm, text) }

// multipartForm has fields of pairs: a name, its value, the next name, ...
func multipartForm(pairs ...string) requestOption {
	var text strings.Builder
	form := multipart.NewWriter(&text)
	for i := 0; i < len(pairs); i += 2 {
		if err := form.WriteField(pairs[i], pairs[i+1]); err != nil {
			panic(err)
		}
	}
	if err := form.Close(); err != nil {
		panic(err)
	}
	return body(form.FormDataContentType(), text.String())
}

// path makes it a request to a URL of this path.
func path(text string) requestOption {
	return func(r *http.Request) { r.URL.Path = text }
}

// Every part of a request that has a name is treated alike.
func TestKeysByName(t *testing.T) {
	for name, test := range map[string]struct {
		keyer    echomw.Keyer
		a, b     requestOption
		part     string
		missing  []requestOption
		spelled  []requestOption
		moreThan []requestOption
	}{
		"header": {
			keyer:    echomw.KeyByHeader("x-api-key"),
			a:        header("X-API-Key", "a"),
			b:        header("X-API-Key", "b"),
			part:     "header x-api-key",
			missing:  []requestOption{header("X-API-Keys", "made-up"), header("X-API-Key"), header("X-API-Key", "")},
			moreThan: []requestOption{header("X-API-Key", "made-up", "a"), header("X-API-Key", "", "a"), header("X-API-Key", "a", "")},
		},
		"cookie": {
			keyer: echomw.KeyByCookie("session"),
			a:     header("Cookie", "theme=dark; session=a"),
			b:     header("Cookie", "session=b; Session=a"),
			part:  "cookie session",
			missing: []requestOption{
				header("X"), header("Cookie", ""), header("Cookie", "Session=made-up"), header("Cookie", "session="), header("Cookie", "session"),
				header("Cookie", `session=""`), header("Cookie", "session=made-up\x00"),
			},
			moreThan: []requestOption{
				header("Cookie", "session=a; session=made-up"), header("Cookie", "session=a", "session=a"), header("Cookie", "session=; session=a"),
			},
		},
		"query parameter": {
			keyer:    echomw.KeyByQuery("tenant"),
			a:        query("x=1&tenant=a"),
			b:        query("t%65nant=b"),
			part:     "query parameter tenant",
			missing:  []requestOption{query(""), query("tenant"), query("tenant="), query("tenant=made-up%zz"), urlencoded("tenant=a")},
			spelled:  []requestOption{query("Tenant=made-up"), query("tenant=a&TENANT=made-up")},
			moreThan: []requestOption{query("tenant=a&tenant=made-up"), query("tenant=&tenant=a"), query("tenant=a&tenant")},
		},
		"path parameter": {
			keyer:    echomw.KeyByParam("id"),
			a:        path("/users/a"),
			b:        path("/users/b"),
			part:     "path parameter id",
			missing:  []requestOption{path("/users/"), path("/nowhere"), path("/files/made-up")},
			moreThan: []requestOption{path("/twice/a/a"), path("/twice/made-up/a")},
		},
		"path to the end": {
			keyer:   echomw.KeyByParam("*"),
			a:       path("/files/a"),
			b:       path("/files/b/c"),
			part:    "path parameter *",
			missing: []requestOption{path("/files/"), path("/users/made-up")},
		},
		"form field": {
			keyer: echomw.KeyByForm("email"),
			a:     urlencoded("email=a&password=p"),
			b:     urlencoded("%65mail=b"),
			part:  "form field email",
			missing: []requestOption{
				urlencoded(""), urlencoded("email"), urlencoded("email=&password=made-up"),
				header("X"), body(echo.MIMEApplicationJSON, `{"email":"made-up"}`), body("", "email=made-up"),
			},
			spelled:  []requestOption{urlencoded("Email=made-up"), multipartForm("Email", "made-up"), urlencoded("email=a&Email=made-up")},
			moreThan: []requestOption{urlencoded("email=a&email=made-up"), urlencoded("email=a&email"), multipartForm("email", "a", "email", "a")},
		},
		"field of a multipart form": {
			keyer: echomw.KeyByForm("email"),
			a:     multipartForm("password", "p", "email", "a"),
			b:     multipartForm("email", "b"),
			part:  "form field email",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen error
			e := echo.New()
			e.Use(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), Key: test.keyer}))
			for _, pattern := range []string{"/users/:id", "/twice/:id/:id", "/files/*"} {
				e.Any(pattern, func(c echo.Context) error { return c.NoContent(http.StatusOK) })
			}
			serve := func(options ...requestOption) *httptest.ResponseRecorder {
				rec := httptest.NewRecorder()
				e.ServeHTTP(rec, request(options...))
				return rec
			}
			assert.Equal(t, http.StatusOK, serve(test.a).Code)
			assert.Equal(t, http.StatusTooManyRequests, serve(test.a, from("203.0.113.1:1")).Code)
			assert.Equal(t, http.StatusOK, serve(test.b).Code)

			refused := func(options []requestOption, text string) {
				for i, option := range options {
					rec := serve(option)
					assert.Equal(t, http.StatusBadRequest, rec.Code, "%s: %d", text, i)
					assert.JSONEq(t, `{"message":"`+text+`"}`, rec.Body.String(), i)
					require.ErrorIs(t, seen, echomw.ErrNoKey)
					assert.NotContains(t, seen.Error(), "made-up")
				}
			}
			refused(test.missing, test.part+" is missing")
			refused(test.moreThan, test.part+" occurs more than once")
			refused(test.spelled, test.part+" is there in another spelling")
		})
	}
}

func TestKeyByHeaderHost(t *testing.T) {
	host := func(name string) requestOption { return func(r *http.Request) { r.Host = name } }
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyByHeader("host"),
	}))
	assert.Equal(t, http.StatusOK, get(e, host("a.example")).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, host("a.example"), from("203.0.113.1:1")).Code)
	assert.Equal(t, http.StatusOK, get(e, host("b.example")).Code)
	rec := get(e, host(""))
	assert.Equal(t, http.StatusBadRequest, rec.Code)
	assert.JSONEq(t, `{"message":"header host is missing"}`, rec.Body.String())
}

func TestKeyIsTheValueAsItIsSent(t *testing.T) {
	for want, keyer := range map[string]echomw.Keyer{
		" A@Example.com ": echomw.KeyByQuery("q"),
		"A@Example.com\n": echomw.KeyByForm("email"),
		"a b":             echomw.KeyByCookie("c"),
		"K|\\":            echomw.KeyByHeader("X-Key"),
	} {
		key, err := keyOf(echo.New(), keyer,
			query("q=+A%40Example.com+"), urlencoded("email=A%40Example.com%0A"), header("Cookie", `c="a b"`), header("X-Key", `K|\`))
		require.NoError(t, err)
		assert.Equal(t, want, key)
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	for _, name := range []string{"", "X API Key", "X-Key:", "Ünicode", "a\nb", "a;b", "a=b"} {
		assertFaults(t, echomw.KeyByHeader(name),
			fmt.Sprintf("KeyByHeader: name is %+q; allowed: the name of a header, such as \"X-API-Key\"", name))
		assertFaults(t, echomw.KeyByCookie(name),
			fmt.Sprintf("KeyByCookie: name is %+q; allowed: the name of a cookie, such as \"session\"", name))
	}
	assertFaults(t, echomw.KeyByQuery(""), `KeyByQuery: name is ""; allowed: the name of a query parameter`)
	assertFaults(t, echomw.KeyByParam(""), `KeyByParam: name is ""; allowed: the name of a path parameter`)
	assertFaults(t, echomw.KeyByForm(""), `KeyByForm: name is ""; allowed: the name of a form field`)
}
