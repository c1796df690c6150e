package echomw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// onePerMinute is middleware that lets one request of each key through.
func onePerMinute(key echomw.Keyer) echo.MiddlewareFunc {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "example", Max: 1, Window: time.Minute})
	return echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, Key: key})
}

// send returns the status of the answer to a request, with this header if it is named.
func send(e *echo.Echo, target, name, value string) int {
	req := httptest.NewRequest(http.MethodGet, target, nil)
	req.RemoteAddr = "198.51.100.7:40000"
	if name != "" {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	return rec.Code
}

func ExampleKeyByCookie() {
	e := echo.New()
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, onePerMinute(echomw.KeyByCookie("session")))

	fmt.Println(send(e, "/", "Cookie", "session=a"))
	fmt.Println(send(e, "/", "Cookie", "session=a"), "for the same session")
	fmt.Println(send(e, "/", "Cookie", "session=b"), "for another session")
	fmt.Println(send(e, "/", "Cookie", "theme=dark"), "without a session")
	// Output:
	// 200
	// 429 for the same session
	// 200 for another session
	// 400 without a session
}

func ExampleKeyByQuery() {
	e := echo.New()
	e.GET("/orders", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, onePerMinute(echomw.KeyByQuery("tenant")))

	fmt.Println(send(e, "/orders?tenant=acme", "", ""))
	fmt.Println(send(e, "/orders?tenant=acme&page=2", "", ""), "for the same tenant")
	fmt.Println(send(e, "/orders?tenant=other", "", ""), "for another tenant")
	// Output:
	// 200
	// 429 for the same tenant
	// 200 for another tenant
}

func ExampleKeyByParam() {
	e := echo.New()
	e.GET("/users/:id", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, onePerMinute(echomw.KeyByParam("id")))

	fmt.Println(send(e, "/users/1", "", ""))
	fmt.Println(send(e, "/users/1", "", ""), "for the same user")
	fmt.Println(send(e, "/users/2", "", ""), "for another user")
	// Output:
	// 200
	// 429 for the same user
	// 200 for another user
}

// Guesses for one account are counted together, wherever they come from.
func ExampleKeyByForm() {
	e := echo.New()
	e.POST("/login", func(c echo.Context) error {
		return c.String(http.StatusOK, "hello "+c.FormValue("email"))
	}, onePerMinute(echomw.Hashed([]byte("16 random bytes or more"), echomw.KeyByForm("email"))))

	for _, peer := range []string{"198.51.100.7:40000", "203.0.113.9:40000"} {
		form := url.Values{"email": {"a@example.com"}, "password": {"guess"}}
		req := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form.Encode()))
		req.Header.Set(echo.HeaderContentType, echo.MIMEApplicationForm)
		req.RemoteAddr = peer
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, req)
		fmt.Println(rec.Code, rec.Header().Get("Content-Type"))
	}
	// Output:
	// 200 text/plain; charset=UTF-8
	// 429 application/problem+json
}

// The user, or else the address.
func ExampleFirstOf() {
	authenticate := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set("user", map[string]string{"Bearer 1": "alice", "Bearer 2": "198.51.100.7"}[c.Request().Header.Get("Authorization")])
			return next(c)
		}
	}
	byUser := echomw.KeyByUser(func(c echo.Context) (string, error) {
		user, _ := c.Get("user").(string)
		return user, nil
	})
	e := echo.New()
	e.Use(authenticate, onePerMinute(echomw.FirstOf(byUser, echomw.KeyByIP(echomw.DefaultIPv6Prefix))))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	fmt.Println(send(e, "/", "Authorization", "Bearer 1"), "for alice")
	fmt.Println(send(e, "/", "Authorization", "Bearer 1"), "for alice again")
	fmt.Println(send(e, "/", "Authorization", "Bearer 2"), "for a user who is named like an address")
	fmt.Println(send(e, "/", "Authorization", ""), "for nobody at that address")
	// Output:
	// 200 for alice
	// 429 for alice again
	// 200 for a user who is named like an address
	// 200 for nobody at that address
}

// The user of a request is what the middleware that authenticates has put on the context.
func ExampleKeyByUser() {
	key := echomw.KeyByUser(func(c echo.Context) (string, error) {
		user, _ := c.Get("user").(string)
		return user, nil
	})
	c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), nil)
	_, err := key.Key(c)
	fmt.Println(err)

	c.Set("user", "alice")
	fmt.Println(key.Key(c))
	// Output:
	// echomw: no key for this request: it has no authenticated user
	// alice <nil>
}

// What reaches the store is a hash of the API key.
func ExampleHashed() {
	key := echomw.Hashed([]byte("16 random bytes or more"), echomw.KeyByHeader("X-API-Key"))
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("X-API-Key", "live_4711")
	fmt.Println(key.Key(echo.New().NewContext(req, nil)))
	// Output:
	// 5YA13jUtjspmfdFTfJM_hDeKSLgcc7A48esdlVgEM2A <nil>
}

// Keys may come from a file of settings.
func ExampleParseKey() {
	key, err := echomw.ParseKey("ip + hashed:header:X-API-Key", echomw.KeyOptions{IPv6Prefix: 64, Secret: []byte("16 random bytes or more")})
	if err != nil {
		panic(err)
	}
	e := echo.New()
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, onePerMinute(key))
	fmt.Println(send(e, "/", "X-API-Key", "live_4711"))
	fmt.Println(send(e, "/", "X-API-Key", "live_4711"), "again")

	_, err = echomw.ParseKey("ipp + header:", echomw.KeyOptions{})
	fmt.Println(err)
	// Output:
	// 200
	// 429 again
	// echomw: invalid configuration: ParseKey: part 0 is "ipp"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it
	// echomw: invalid configuration: ParseKey: part 1: KeyByHeader: name is ""; allowed: the name of a header, such as "X-API-Key"
}
