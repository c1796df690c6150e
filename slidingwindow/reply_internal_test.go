package slidingwindow

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The types of RESP that the messages below are made of.
const (
	respInteger = ':'
	respText    = '$'
	respArray   = '*'
	respNull    = '_'
	respError   = '-'
)

// reply makes the messages that the client would hand out: an int64 is an Integer, a string
// is a text, nil is a null and []any is an array.
func reply(t testing.TB, values ...any) []rueidis.RedisMessage {
	t.Helper()
	var m rueidis.RedisMessage
	require.NoError(t, m.CacheUnmarshalView(appendMessage(make([]byte, 7), values)))
	messages, err := m.ToArray()
	require.NoError(t, err)
	return messages
}

func appendMessage(b []byte, value any) []byte {
	switch value := value.(type) {
	case int:
		return appendMessage(b, int64(value))
	case int64:
		return binary.BigEndian.AppendUint64(append(b, respInteger), uint64(value)) //nolint:gosec // the bits are what is meant
	case string:
		return append(binary.BigEndian.AppendUint64(append(b, respText), uint64(len(value))), value...)
	case []any:
		b = binary.BigEndian.AppendUint64(append(b, respArray), uint64(len(value)))
		for _, item := range value {
			b = appendMessage(b, item)
		}
		return b
	default:
		return binary.BigEndian.AppendUint64(append(b, respNull), 0)
	}
}

// errorReply is a reply that is an error.
func errorReply(t testing.TB, text string) error {
	t.Helper()
	var m rueidis.RedisMessage
	require.NoError(t, m.CacheUnmarshalView(append(binary.BigEndian.AppendUint64(append(make([]byte, 7), respError), uint64(len(text))), text...)))
	require.Error(t, m.Error())
	return m.Error()
}

// questions are the calls of a batch: of one limit, twice the same, and of two limits.
func questions() []joined {
	one, two := []Limit{PerMinute(5)}, []Limit{PerMinute(5), PerHour(9)}
	return join(nil, []*call{
		{key: "a", limits: one, cost: 1},
		{key: "b", limits: one, cost: 2}, {key: "b", limits: one, cost: 2},
		{key: "c", limits: two, cost: 1},
	})
}

const replyTime int64 = 1_700_000_000_000_000

func sound() []any {
	return []any{
		replyTime,
		1, 3, 1_000_000, // a: allowed
		1, 4, 1_000_000, 0, 4, 1_000_000, 2_000_000, // b: one of two
		0, 5, 1_000_000, 2, 1_000_000, 1_000_000, 0, // c: refused by its first limit
	}
}

func TestSoundReply(t *testing.T) {
	t.Parallel()
	entries := questions()
	require.NoError(t, answer(entries, reply(t, append(sound(), 1, 0, 0, replyTime+1)...)))
	a, b, c := entries[0].calls[0], entries[1].calls, entries[2].calls[0]
	assert.True(t, a.decision.Allowed)
	assert.EqualValues(t, 2, a.decision.Remaining)
	assert.True(t, b[0].decision.Allowed)
	assert.EqualValues(t, replyTime, a.decision.receipt)
	assert.EqualValues(t, replyTime+1, b[0].decision.receipt)
	assert.False(t, b[1].decision.Allowed)
	assert.Equal(t, 2*time.Second, b[1].decision.RetryAfter)
	assert.False(t, c.decision.Allowed)
	assert.Equal(t, time.Second, c.decision.RetryAfter)
}

// What Redis would never answer is an error, and never leave to go on.
func TestReplyThatDecideDoesNotGive(t *testing.T) {
	t.Parallel()
	with := func(at int, value any) []any {
		values := sound()
		values[at] = value
		return values
	}
	for name, values := range map[string][]any{
		"nothing":                {},
		"the time only":          {replyTime},
		"no number":              with(0, "now"),
		"a null":                 with(2, nil),
		"an array":               with(3, []any{int64(1)}),
		"more granted than were": with(1, 2),
		"used is no number":      with(2, "three"),
		"used is negative":       with(2, -3),
		"reset is negative":      with(3, -1),
		"reset overflows":        with(3, int64(1)<<60),
		"refused without a wait": with(10, 0),
		"the wait is no number":  with(10, "soon"),
		"the wait is negative":   with(10, -1),
		"no limit makes it wait": with(16, 0),
		"too short":              sound()[:10],
		"too long":               append(sound(), 1),
		"a receipt of no call":   append(sound(), 3, 0, 0, replyTime),
		"of no hit":              append(sound(), 0, 0, 1, replyTime),
		"of no limit":            append(sound(), 0, 1, 0, replyTime),
		"of no time":             append(sound(), 0, 0, 0, -1),
		"an error without text":  {replyTime, -1},
	} {
		err := answer(questions(), reply(t, values...))
		assert.ErrorIs(t, err, ErrStoreUnavailable, name)
	}
}

// FuzzReply answers a batch with anything: two bytes make one value of it, a small number
// most often.
func FuzzReply(f *testing.F) {
	for _, peek := range []bool{false, true} {
		f.Add([]byte{}, peek)
		f.Add([]byte{0, 1, 0, 1, 0, 3, 0, 9, 0, 1, 0, 4, 0, 9, 0, 0, 0, 4, 0, 9, 0, 9, 0, 0, 0, 5, 0, 9, 0, 2, 0, 9, 0, 9, 0, 0}, peek)
		f.Add([]byte{0, 1, 0, 1, 0, 3, 0, 9, 0, 2, 0, 4, 0, 9, 0, 1, 0, 5, 0, 9, 0, 2, 0, 9, 0, 1, 0, 0, 0, 0, 0, 9, 0, 7}, peek)
		f.Add([]byte{0, 1, 1, 255, 4, 3, 1, 255, 4, 5, 1, 255, 4, 2}, peek)
	}
	f.Fuzz(func(t *testing.T, data []byte, peek bool) {
		var values []any
		for ; len(data) >= 2; data = data[2:] {
			n := int64(data[1])
			switch data[0] % 8 {
			case 1:
				values = append(values, n-256)
			case 2:
				values = append(values, n<<56|n)
			case 3:
				values = append(values, nil)
			case 4:
				values = append(values, []string{"WRONGTYPE of a key", "FOREIGN", "", "12", "1e3", "-1", "\x00"}[n%7])
			case 5:
				values = append(values, []any{n})
			default:
				values = append(values, n)
			}
		}
		entries := questions()
		for i := range entries {
			if peek {
				entries[i].kind = kindPeek
			}
		}
		err := answer(entries, reply(t, values...))
		if err != nil {
			require.ErrorIs(t, err, ErrStoreUnavailable)
			return
		}
		for _, e := range entries {
			for _, c := range e.calls {
				d := c.decision
				if c.err != nil {
					require.True(t, errors.Is(c.err, ErrStoreUnavailable) || errors.Is(c.err, ErrForeignData), "%v", c.err)
					require.False(t, d.Allowed)
					continue
				}
				require.Equal(t, d.Allowed, d.RetryAfter == 0)
				require.Equal(t, d.Allowed && !peek, d.Granted == e.cost)
				require.True(t, d.Remaining >= 0 && d.Remaining <= d.Limit.Max, "%+v", d)
				require.True(t, d.RetryAfter >= 0 && d.ReplenishAfter >= 0, "%+v", d)
			}
		}
	})
}
