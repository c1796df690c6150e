package otelmetrics

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	policyKey = attribute.Key("ratelimit.policy")
	resultKey = attribute.Key("ratelimit.result")
	errorKey  = attribute.Key("error.type")
)

// label is the attributes of a measurement. result and failure are "" where they do not apply.
type label struct {
	policy  string
	result  slidingwindow.Reason
	failure string
}

// options are a label in the forms that instruments and spans take, made once.
type options struct {
	attributes []attribute.KeyValue
	add        []metric.AddOption
	record     []metric.RecordOption
}

func (l label) options() *options {
	attributes := []attribute.KeyValue{policyKey.String(l.policy)}
	if l.result != "" {
		attributes = append(attributes, resultKey.String(string(l.result)))
	}
	if l.failure != "" {
		attributes = append(attributes, errorKey.String(l.failure))
	}
	set := metric.WithAttributeSet(attribute.NewSet(attributes...))
	return &options{attributes: attributes, add: []metric.AddOption{set}, record: []metric.RecordOption{set}}
}

// Labels beyond that are made anew each time. The SDK lumps attributes beyond 2,000 sets together.
const maxLabels = 1000

// labels keeps the options of labels, so that a measurement makes none.
type labels struct {
	known sync.Map // label -> *options
	count atomic.Int64
}

func (l *labels) of(wanted label) *options {
	if known, ok := l.known.Load(wanted); ok {
		return known.(*options)
	}
	made := wanted.options()
	if l.count.Load() < maxLabels {
		if _, known := l.known.LoadOrStore(wanted, made); !known {
			l.count.Add(1)
		}
	}
	return made
}

// failureOf is the error.type of an error, of which there are few.
func failureOf(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{slidingwindow.ErrCallRejected, "call_rejected"}, // is an ErrStoreUnavailable, too
		{slidingwindow.ErrStoreUnavailable, "store_unavailable"},
		{slidingwindow.ErrForeignData, "foreign_data"},
		{errors.ErrUnsupported, "unsupported"},
		{context.DeadlineExceeded, "deadline_exceeded"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "_OTHER"
}
