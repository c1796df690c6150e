// Command api is a small HTTP API behind two rate limits that all of its instances
// share: one for everything under /api, by client address, and a strict one on top of
// it for logging in. Start as many instances as you like on one REDIS_URL; the count is
// one.
//
//	GET  /api/products       100 requests in any 15 minutes (limits.api)
//	GET  /api/users          "
//	POST /api/users/login    and 5 in any 10 minutes (limits.login)
//
// Not limited, because a probe must not run out of quota:
//
//	GET  /livez              200 while the process serves; never asks Redis
//	GET  /readyz             200 if calls can be served, without Redis if REDIS_ON_FAILURE allows that
//	GET  /api/health/redis   200 if Redis can decide, whatever REDIS_ON_FAILURE is
//
// CONFIG_FILE may name a YAML file. When that or the .env file changes, or on SIGHUP, limits and
// modes are those of the files from then on, and no count is lost.
//
// It reads HOST (127.0.0.1 unless set: nobody else's computer is let in by accident),
// PORT (3000), REDIS_URL, and what else package config knows, from the environment or a
// .env file in its folder: LIMITS_API_MAX and LIMITS_LOGIN_WINDOW, whom LIMITS_API_BY
// counts, what LIMITS_API_MODE is, RESPONSE_HEADERS and more. SIGINT and
// SIGTERM end it once the requests it has are answered; a second one ends it at once.
//
// The client address is that of the connection. Behind a proxy that is the proxy's: name
// the proxy in CLIENT_TRUSTED_PROXIES, and its header in CLIENT_PROXY_HEADER unless that is
// X-Forwarded-For.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does what it does to any program
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := run(ctx, os.Environ(), logger, nil)
	stop()
	if err != nil {
		logger.Error("api failed", "error", err)
		os.Exit(1)
	}
}
