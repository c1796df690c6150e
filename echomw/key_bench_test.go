package echomw_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// benchmarkKey measures a Keyer alone, on one request.
func benchmarkKey(b *testing.B, keyer echomw.Keyer, options ...requestOption) {
	req := request(options...)
	c := echo.New().NewContext(req, httptest.NewRecorder())
	c.SetPath("/users/:id")
	c.SetParamNames("id")
	c.SetParamValues("1")
	c.Set("user", "alice")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keyer.Key(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyByIP(b *testing.B) {
	b.Run("IPv4", func(b *testing.B) { benchmarkKey(b, echomw.KeyByIP(0)) })
	b.Run("IPv6", func(b *testing.B) { benchmarkKey(b, echomw.KeyByIP(0), from("[2001:db8::1]:443")) })
}

func BenchmarkKeyByRoute(b *testing.B) { benchmarkKey(b, echomw.KeyByRoute()) }

func BenchmarkKeyByHeader(b *testing.B) {
	benchmarkKey(b, echomw.KeyByHeader("X-API-Key"), header("X-API-Key", "live_4711"))
}

func BenchmarkKeyByCookie(b *testing.B) {
	benchmarkKey(b, echomw.KeyByCookie("session"), header("Cookie", "theme=dark; session=4711"))
}

// Echo parses the query once for each request, whoever asks first.
func BenchmarkKeyByQuery(b *testing.B) {
	keyer := echomw.KeyByQuery("tenant")
	req := request(query("tenant=acme&page=1"))
	c := echo.New().NewContext(req, nil)
	b.ReportAllocs()
	for b.Loop() {
		c.Reset(req, nil)
		if _, err := keyer.Key(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyByParam(b *testing.B) { benchmarkKey(b, echomw.KeyByParam("id")) }

// The form is parsed for each request, which is most of it.
func BenchmarkKeyByForm(b *testing.B) {
	keyer := echomw.KeyByForm("email")
	const text = "email=a%40example.com&password=p"
	req := request(urlencoded(text))
	c := echo.New().NewContext(req, httptest.NewRecorder())
	reader := strings.NewReader(text)
	req.Body = io.NopCloser(reader)
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(text)
		req.Form, req.PostForm = nil, nil
		if _, err := keyer.Key(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyByUser(b *testing.B) { benchmarkKey(b, echomw.KeyByUser(userOf)) }

func BenchmarkKeyJoin(b *testing.B) {
	benchmarkKey(b, echomw.Join(echomw.KeyByIP(0), echomw.KeyByRoute()))
}

func BenchmarkKeyFirstOf(b *testing.B) {
	user, nobody := echomw.KeyByUser(userOf), echomw.KeyByUser(func(echo.Context) (string, error) { return "", nil })
	b.Run("first", func(b *testing.B) { benchmarkKey(b, echomw.FirstOf(user, echomw.KeyByIP(0))) })
	b.Run("second", func(b *testing.B) { benchmarkKey(b, echomw.FirstOf(nobody, echomw.KeyByIP(0))) })
}

func BenchmarkKeyHashed(b *testing.B) {
	for _, size := range []int{9, 1000} {
		name := fmt.Sprint(size, " bytes")
		keyer := echomw.Hashed(secret, constant(strings.Repeat("k", size)))
		b.Run(name, func(b *testing.B) { benchmarkKey(b, keyer) })
		b.Run(name+" in parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := keyer.Key(nil); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
