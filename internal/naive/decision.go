package naive

import (
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// WithoutReceipts returns d without what each store has of its own: its name and its receipts.
func WithoutReceipts(d slidingwindow.Decision) slidingwindow.Decision {
	statuses := d.Statuses()
	for i := range statuses {
		statuses[i].Receipt = 0
	}
	plain := slidingwindow.NewDecision(0, statuses...)
	plain.Granted, plain.Delay = d.Granted, d.Delay
	plain.Allowed, plain.Reason, plain.Limit = d.Allowed, d.Reason, d.Limit
	plain.Remaining, plain.RetryAfter, plain.ReplenishAfter = d.Remaining, d.RetryAfter, d.ReplenishAfter
	return plain
}

// ThroughText returns d as another process gets it from its text.
func ThroughText(t require.TestingT, d slidingwindow.Decision) slidingwindow.Decision {
	text, err := d.MarshalText()
	require.NoError(t, err)
	var decoded slidingwindow.Decision
	require.NoError(t, decoded.UnmarshalText(text))
	return decoded
}
