package main

import (
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

//go:embed web
var web embed.FS

// What the playground takes at most, so that a page left open cannot load a computer.
const (
	mostRequests = 200 // a second, of those that change something
	mostBody     = 1 << 10
)

// newHandler serves the page and its API: an instance for each store, which all share one log
// if the stores do. most bounds the requests that change something.
func newHandler(board *board, stores []slidingwindow.Store, shared bool, most slidingwindow.Limit, logger *slog.Logger) (http.Handler, error) {
	page, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	api := &api{board: board, logger: logger}
	for i, store := range stores {
		instance, err := newInstance(i, store, board, logger)
		if err != nil {
			return nil, err
		}
		api.instances = append(api.instances, instance)
	}
	board.begin(len(stores), shared)

	bound, err := slidingwindow.New(memory.New(), most)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.HandleFunc("GET /api/state", api.state)
	mux.HandleFunc("GET /api/events", api.events)
	mux.Handle("POST /api/settings", bounded(bound, api.settings))
	mux.Handle("POST /api/hit/{instance}", bounded(bound, api.hit))
	mux.Handle("POST /api/wait/{instance}", bounded(bound, api.wait))
	// Another site's page must not reach this one through the visitor's browser.
	return localOnly(http.NewCrossOriginProtection().Handler(secured(mux))), nil
}

// bounded answers 503 to requests beyond the bound, so that a 429 is always the limit's that is
// tried, and reads no more than mostBody of a body.
func bounded(bound *slidingwindow.Limiter, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := bound.Allow(r.Context(), "playground")
		if err != nil {
			return // the client left
		}
		if !d.Allowed {
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("the playground takes %d requests in %v", d.Limit.Max, d.Limit.Window), http.StatusServiceUnavailable)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		next(w, r)
	})
}

// localOnly refuses requests by another name than this computer's own: a name of somebody's that
// leads to 127.0.0.1 would make the browser take this page for one of theirs.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if host != "localhost" && host != "127.0.0.1" {
			http.Error(w, "the playground is at 127.0.0.1 only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// secured lets the page load nothing but its own files.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
