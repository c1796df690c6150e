package otelmetrics

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestEachErrorHasAType(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{slidingwindow.ErrStoreUnavailable, "store_unavailable"},
		{fmt.Errorf("%w: %w", slidingwindow.ErrStoreUnavailable, context.DeadlineExceeded), "store_unavailable"},
		{fmt.Errorf("%w: %w", slidingwindow.ErrStoreUnavailable, slidingwindow.ErrCallRejected), "call_rejected"},
		{slidingwindow.ErrForeignData, "foreign_data"},
		{slidingwindow.ContextEnded(gone), "canceled"},
		{slidingwindow.ContextEnded(t.Context()), "deadline_exceeded"},
		{assert.AnError, "_OTHER"},
	} {
		assert.Equal(t, test.want, failureOf(test.err), test.err.Error())
	}
}

func TestLabelsThatAreKeptAreBounded(t *testing.T) {
	t.Parallel()
	var l labels
	first := l.of(label{policy: "0"})
	for i := range 2 * maxLabels {
		l.of(label{policy: fmt.Sprint(i)})
	}
	kept := 0
	l.known.Range(func(any, any) bool { kept++; return true })
	assert.Equal(t, maxLabels, kept)
	assert.Same(t, first, l.of(label{policy: "0"}))
}
