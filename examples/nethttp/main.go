// Command nethttp serves plain net/http handlers behind a limit of 5 requests in any 10
// seconds for each client. The middleware is the function limit; copy it.
//
//	REDIS_URL=memory:// go run ./examples/nethttp
//	for i in 1 2 3 4 5 6; do curl -i http://127.0.0.1:3000/; done
//
// Instances on one Redis (REDIS_URL=redis://127.0.0.1:6379) share the quota. The
// environment can have another port (PORT) and limit (LIMITS_API_MAX, LIMITS_API_WINDOW).
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func main() {
	cfg, err := config.Load(config.Sources{Environ: os.Environ(), Defaults: map[string]any{
		"limits.api.max": 5, "limits.api.window": "10s", "host": "127.0.0.1", "port": 3000,
	}})
	if err != nil {
		log.Fatal(err)
	}
	store, err := cfg.Redis.Open(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	limiter, err := slidingwindow.New(store, cfg.Limits["api"].Limit)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello\n")) })

	listener, err := cfg.Listen(context.Background(), slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("serving http://%s", listener.Addr())
	log.Fatal(http.Serve(listener, limit(limiter, mux)))
}
