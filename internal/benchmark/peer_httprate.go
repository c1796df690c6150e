package main

import (
	"context"
	"net/http"

	"github.com/go-chi/httprate"
	httprateredis "github.com/go-chi/httprate-redis"
	"github.com/redis/go-redis/v9"
)

func httprateOnRedis() contestant {
	return contestant{
		name: "httprate-redis", algorithm: "sliding counter, estimates; one lock",
		settings: goRedisSettings + "; no local fallback, which would hide an error",
		module:   "github.com/go-chi/httprate-redis", admits: perClockWindow,
		without: map[feature]string{
			cluster: "it takes no client of a Cluster",
			farAway: "its calls wait for each other's round trips, so they are too few",
			state:   "a counter that sends 5 commands a call behind a lock, in whatever state its keys are",
		},
		open: overGoRedis(func(ctx context.Context, client redis.UniversalClient) limits {
			return func(name string, q quota, cost int64) (decide, error) {
				limiter := httprate.NewRateLimiter(int(q.Max), q.Window,
					httprateredis.WithRedisLimitCounter(&httprateredis.Config{
						Client: client.(*redis.Client), WindowLength: q.Window, PrefixKey: keyPrefix + ":" + name, FallbackDisabled: true,
					}),
					httprate.WithResponseHeaders(httprate.ResponseHeaders{}), // none: nothing but the decision
					httprate.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, err error) {
						w.(*noResponse).err = err
					}))
				request, err := http.NewRequestWithContext(httprate.WithIncrement(ctx, int(cost)), http.MethodGet, "/", nil)
				if err != nil {
					return nil, err
				}
				return func(_ context.Context, key string) (bool, error) {
					var response noResponse
					limited := limiter.OnLimit(&response, request, key)
					return !limited, response.err
				}, nil
			}
		}),
	}
}

// noResponse is a ResponseWriter for a limiter that writes none, and keeps its error.
type noResponse struct{ err error }

func (*noResponse) Header() http.Header         { return nil }
func (*noResponse) Write(b []byte) (int, error) { return len(b), nil }
func (*noResponse) WriteHeader(int)             {}
