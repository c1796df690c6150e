package echomw_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// upload sends a whole request before it reads the answer, as many clients do.
func upload(t *testing.T, server *httptest.Server, size int, fields string) (status int, err error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /users/1 HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n", fields, size); err != nil {
		return 0, err
	}
	part := make([]byte, 64<<10)
	for sent := 0; sent < size; sent += len(part) {
		if _, err := conn.Write(part[:min(len(part), size-sent)]); err != nil {
			return 0, err
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

func TestRefusedUploadReadsItsRefusal(t *testing.T) {
	t.Parallel()
	const size = 20 << 20
	for name, test := range map[string]struct {
		drain   int64
		fields  string
		arrives bool
	}{
		"drained":                  {size, "", true},
		"not drained":              {0, "", false},
		"larger than is drained":   {size - 1, "", false},
		"would wait for an answer": {size, "Expect: 100-continue\r\n", false},
	} {
		config := refusing(t)
		config.DrainRefused = test.drain
		for _, e := range []http.Handler{newEcho(echomw.RateLimiterWithConfig(config)), newEcho(middleware.Gzip(), echomw.RateLimiterWithConfig(config))} {
			server := httptest.NewServer(e)
			arrived, uploads := 0, map[bool]int{true: 5, false: 1}[test.arrives]
			for range uploads {
				if status, err := upload(t, server, size, test.fields); err == nil && status == http.StatusTooManyRequests {
					arrived++
				}
			}
			server.Close()
			t.Logf("%s: %d of %d arrived", name, arrived, uploads)
			if test.arrives {
				assert.Equal(t, uploads, arrived, name)
			}
		}
	}
}
