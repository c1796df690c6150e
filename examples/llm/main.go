// Command llm is a gateway to a language model. Each API key may make 60 requests and use 100,000
// tokens in any minute, on all instances of the gateway together.
//
//	make llm
//
// runs it, with a redis-server of its own unless REDIS_URL names one: the gateway, a model server
// that it asks over HTTP, and clients with a script; it ends by itself. It tells what each client
// met, and compares what the limiter has counted with what the model says that it has used.
//
// # What a call takes
//
// How many tokens an answer has is known when it ends, and that is too late to refuse it. So a call takes
// an estimate first: the prompt, by its length, and the most that the answer may have. When the model has
// told what it used, [slidingwindow.Limiter.Settle] puts that in its place, and what was
// not needed is free again at once. An answer may use more than was taken for it: later calls then wait.
//
// An estimate above the limit could never be allowed. If the prompt alone is, the call is a 400. Otherwise the
// answer is bounded to what is left of the limit, and the model is told so.
//
// A client that hangs up has used tokens all the same. The gateway reads on until the model tells
// how many, because nothing but the end of the answer does, and settles then: Settle does
// not mind that the context of the request has ended. If the model breaks off, what it sent is counted by its pieces.
// If the gateway dies, the estimate stays until it has left the window, for a minute.
//
// # What clients are told
//
// The fields x-ratelimit-limit-requests, x-ratelimit-remaining-requests and x-ratelimit-reset-requests, and those
// with -tokens, are those of OpenAI's API, with times as in 1s or 6m0s. There, a reset is when a
// limit is full again. Here units come back one by one: it is when the next do or, for what was refused,
// when the same call will fit. RateLimit-Policy and RateLimit, the fields of the IETF's draft, and
// Retry-After are those of echomw.
//
// # Budgets of money
//
// A budget is one more limit. In micro-dollars the price of a token is that of a million in dollars: 3
// of them at 3 dollars for a million. Do not take estimates from a window of a day or a month: one that
// is never settled, because a process died, would count that long. Ask with Peek, and Charge what
// was used: see the example of the tests. Calls that run at the same time can pass such a budget by what they
// use together, once.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	slog.SetLogLoggerLevel(slog.LevelWarn)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does what it does to any program
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm:", err)
		os.Exit(1)
	}
}
