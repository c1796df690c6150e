package main

import (
	"context"
	"net/http"

	"github.com/go-chi/httprate"
	httprateredis "github.com/go-chi/httprate-redis"
)

func httprateOnRedis() contestant {
	return contestant{
		name: "httprate-redis", algorithm: "sliding counter, estimates; one lock",
		settings: goRedisSettings + "; no local fallback, which would hide an error",
		module:   "github.com/go-chi/httprate-redis", admits: perClockWindow,
		open: func(ctx context.Context, addr string, q quota) (decide, func(), error) {
			client := newGoRedis(addr)
			limiter := httprate.NewRateLimiter(int(q.Max), q.Window,
				httprateredis.WithRedisLimitCounter(&httprateredis.Config{
					Client: client, WindowLength: q.Window, PrefixKey: keyPrefix, FallbackDisabled: true,
				}),
				httprate.WithResponseHeaders(httprate.ResponseHeaders{}), // none: nothing but the decision
				httprate.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, err error) {
					w.(*noResponse).err = err
				}))
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			if err != nil {
				_ = client.Close()
				return nil, nil, err
			}
			return func(_ context.Context, key string) (bool, error) {
				var response noResponse
				limited := limiter.OnLimit(&response, request, key)
				return !limited, response.err
			}, func() { _ = client.Close() }, nil
		},
	}
}

// noResponse is a ResponseWriter for a limiter that writes none, and keeps its error.
type noResponse struct{ err error }

func (*noResponse) Header() http.Header         { return nil }
func (*noResponse) Write(b []byte) (int, error) { return len(b), nil }
func (*noResponse) WriteHeader(int)             {}
