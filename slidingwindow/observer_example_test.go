package slidingwindow_test

import (
	"context"
	"fmt"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// printer prints decisions. A program would count them.
type printer struct{}

func (printer) Decided(_ context.Context, d slidingwindow.Decided) {
	fmt.Println(d.Request.Limits[0].Name, d.Decision.Reason)
}
func (printer) Waits(context.Context, slidingwindow.Limit) (ended func(error)) { return nil }
func (printer) Settled(context.Context, slidingwindow.Settled)                 {}

func ExampleLimiter_WithObserver() {
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(1)).WithObserver(printer{})
	_, _ = limiter.Allow(ctx, "ada")
	_, _ = limiter.Allow(ctx, "ada")
	limiter.SetMode(slidingwindow.ModeShadow)
	_, _ = limiter.Allow(ctx, "ada")
	// Output:
	// 1-per-1m allowed
	// 1-per-1m refused
	// 1-per-1m shadow
}
