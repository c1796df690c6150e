package slidingwindow_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// fixedStore decides always the same.
type fixedStore struct {
	slidingwindow.Store
	d slidingwindow.Decision
}

func (s fixedStore) Take(context.Context, slidingwindow.Request) (slidingwindow.Decision, error) {
	return s.d, nil
}

// decided is what a Limiter returns of what a store decided for a key.
func decided(t require.TestingT, key, store string, delay time.Duration, statuses ...slidingwindow.Status) slidingwindow.Decision {
	d := slidingwindow.NewDecision(0, statuses...)
	d.Store, d.Delay = store, delay
	l, err := slidingwindow.New(fixedStore{d: d}, slidingwindow.PerMinute(1))
	require.NoError(t, err)
	d, err = l.Allow(context.Background(), key)
	require.NoError(t, err)
	return d
}

var (
	oneStatus   = slidingwindow.Status{Limit: slidingwindow.Limit{Name: "requests", Max: 60, Window: time.Minute}, Granted: 1, Remaining: 59, ReplenishAfter: time.Minute, Receipt: 1_764_380_000_123_456}
	otherStatus = slidingwindow.Status{Limit: slidingwindow.Limit{Name: "tokens", Max: 100_000, Window: time.Minute}, Granted: 1200, Remaining: 98_800, ReplenishAfter: time.Minute, Receipt: 1_764_380_000_123_456}
)

// The texts of a release are read by every later one: if this test fails, the version must be another.
func TestTextsOfVersion1StayTheSame(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		d    slidingwindow.Decision
		text string
	}{
		"nothing":    {slidingwindow.Decision{}, "1.AAAAAAAAAAbMpjPbgaML"},
		"one limit":  {decided(t, "user:42", "redis:rl", 0, oneStatus), "1.Ag5hbGxvd2VkEHJlZGlzOnJsAMyH57ALAgAQcmVxdWVzdHN4gOC6hL8DAAJ2AIDguoS_A4Dpv7K3rKIGILmiRplL49M"},
		"two limits": {decided(t, "user:42", "redis:rl", 1500*time.Millisecond, oneStatus, otherStatus), "1.Ag5hbGxvd2VkEHJlZGlzOnJsgLzBlgvMh-ewCwQAEHJlcXVlc3RzeIDguoS_AwACdgCA4LqEvwOA6b-yt6yiBgx0b2tlbnPAmgyA4LqEvwMA4BLghwwAgOC6hL8DgOm_sresogajJ4DpeAbZ8w"},
	} {
		text, err := test.d.MarshalText()
		require.NoError(t, err, name)
		assert.Equal(t, test.text, string(text), name)
		var d slidingwindow.Decision
		require.NoError(t, d.UnmarshalText([]byte(test.text)), name)
		assert.Equal(t, test.d, d, name)
	}
	for key, hash := range map[string]uint32{
		"": 0x4f329cad, "a": 0x46b52cc0, "user:42": 0x5b0ce1e6, "user:43": 0xd3b7bc56, "12345678": 0xa39023b7, "203.0.113.77": 0xae885f41, "tenant:9 user:42": 0x585ab9da, strings.Repeat("k", 128): 0xd744667f,
	} {
		assert.Equal(t, hash, slidingwindow.HashKey(key), key)
	}
}

func TestHashesTellKeysApart(t *testing.T) {
	t.Parallel()
	seen := map[uint32]string{}
	same := 0
	add := func(key string) {
		hash := slidingwindow.HashKey(key)
		if _, met := seen[hash]; met {
			same++
		}
		seen[hash] = key
	}
	for i := range 30_000 {
		add(fmt.Sprint("user:", i))
		add(fmt.Sprint(i))
		add(fmt.Sprintf("2001:db8:%x::/64", i))
		add(string(binary.LittleEndian.AppendUint64(nil, uint64(i))) + "\x00")
	}
	for n := range 129 {
		add(strings.Repeat("\x00", n))
		add(strings.Repeat("x", n))
	}
	assert.Less(t, same, 20, "of 120,000 keys two or so have the same hash of 32 bits by chance")
}

func TestTextHasNoKey(t *testing.T) {
	t.Parallel()
	const key = "ada@example.com"
	l, _ := newRedisLimiter(t, redistest.Client(t), slidingwindow.PerMinute(10))
	d, err := l.Allow(t.Context(), key)
	require.NoError(t, err)
	text, err := d.MarshalText()
	require.NoError(t, err)
	_, body, found := strings.Cut(string(text), ".")
	require.True(t, found)
	content, err := base64.RawURLEncoding.DecodeString(body)
	require.NoError(t, err)
	assert.Contains(t, string(content), "10-per-1m", "what is in clear is found")
	for _, where := range []string{string(text), string(content), fmt.Sprintf("%+v %#v", d, d)} {
		for from := range len(key) - 3 {
			assert.NotContains(t, where, key[from:from+4])
		}
	}
}

func TestTextIsPrintableAndShort(t *testing.T) {
	t.Parallel()
	one, err := decided(t, "k", "redis:rl", 0, oneStatus).MarshalText()
	require.NoError(t, err)
	two, err := decided(t, "k", "redis:rl", 0, oneStatus, otherStatus).MarshalText()
	require.NoError(t, err)
	assert.Regexp(t, `^[0-9]+\.[A-Za-z0-9_-]+$`, string(two))
	assert.LessOrEqual(t, len(one), 110, "about 100 bytes")
	assert.LessOrEqual(t, len(two)-len(one), 60, "and 50 for each further limit")
}

// A text that is not whole or was changed is told, whatever was done to it, and by whom.
func TestChangedTextsAreTypedErrors(t *testing.T) {
	t.Parallel()
	want := decided(t, "k", "redis:rl", time.Second, oneStatus, otherStatus)
	text, err := want.MarshalText()
	require.NoError(t, err)
	changed := map[string][]byte{
		"empty":         {},
		"padded":        append(bytes.Clone(text), '='),
		"a line end":    append(bytes.Clone(text), '\n'),
		"a space":       append([]byte(" "), text...),
		"twice":         append(bytes.Clone(text), text...),
		"quoted":        []byte(`"` + string(text) + `"`),
		"no version":    text[2:],
		"no base64":     []byte("1.{}"),
		"not a number":  append([]byte("x"), text[1:]...),
		"no dot":        append([]byte("1"), text[2:]...),
		"other letters": bytes.ToUpper(text),
	}
	for cut := range text {
		changed[fmt.Sprint("cut to ", cut)] = text[:cut]
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.\n"
	for at := 1; at < len(text); at++ {
		for _, c := range []byte(alphabet) {
			if c != text[at] {
				changed[fmt.Sprintf("%q at %d", c, at)] = append(append(bytes.Clone(text[:at]), c), text[at+1:]...)
			}
		}
		changed[fmt.Sprintf("a line end before %d", at)] = append(append(bytes.Clone(text[:at]), '\n'), text[at:]...)
		changed[fmt.Sprintf("none at %d", at)] = append(bytes.Clone(text[:at]), text[at+1:]...)
	}
	for name, text := range changed {
		d := want
		err := d.UnmarshalText(text)
		require.ErrorIs(t, err, slidingwindow.ErrDecisionChanged, name)
		require.ErrorContains(t, err, fmt.Sprintf("the text of %d bytes", len(text)), name)
		require.ErrorContains(t, err, "; allowed: a text as MarshalText returned it", name)
		require.Equal(t, want, d, name)
	}
	require.Greater(t, len(changed), 5000)
}

// Whoever makes the checksum right must still write what MarshalText would.
func TestTextsThatNobodyWroteAreTypedErrors(t *testing.T) {
	t.Parallel()
	text, err := decided(t, "k", "redis:rl", 0, oneStatus, otherStatus).MarshalText()
	require.NoError(t, err)
	content, err := base64.RawURLEncoding.DecodeString(string(text[2:]))
	require.NoError(t, err)
	content = content[:len(content)-8]
	require.Equal(t, text, slidingwindow.TextOf(content))
	numbers := func(numbers ...int64) (content []byte) {
		for _, n := range numbers {
			content = binary.AppendVarint(content, n)
		}
		return content
	}
	for name, content := range map[string][]byte{
		"nothing":                {},
		"more":                   append(bytes.Clone(content), 0),
		"less":                   content[:len(content)-1],
		"allowed is 2":           append(numbers(2), content[1:]...),
		"a long zero":            append([]byte{0x80, 0x00}, numbers(0, 0, 0, 0, 0, 0)...),
		"a long hash":            numbers(0, 0, 0, 0, 1<<32, 0, 0),
		"a negative length":      numbers(0, -1, 0, 0, 0, 0, 0),
		"a great length":         numbers(0, math.MaxInt64, 0, 0, 0, 0, 0),
		"a negative count":       numbers(0, 0, 0, 0, 0, -1, 0),
		"a great count":          numbers(0, 0, 0, 0, 0, math.MaxInt64, 0),
		"binding nothing":        numbers(0, 0, 0, 0, 0, 0, 1),
		"binding the second":     numbers(0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1),
		"binding before first":   numbers(0, 0, 0, 0, 0, 1, -1, 0, 1, 1, 1, 1, 1, 1, 1, 1),
		"one limit that is none": numbers(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	} {
		var d slidingwindow.Decision
		assert.ErrorIs(t, d.UnmarshalText(slidingwindow.TextOf(content)), slidingwindow.ErrDecisionChanged, name)
		assert.Zero(t, d, name)
	}
}

func TestTextOfAnotherVersionIsATypedError(t *testing.T) {
	t.Parallel()
	text, err := decided(t, "k", "redis:rl", 0, oneStatus).MarshalText()
	require.NoError(t, err)
	for _, version := range []string{"0", "2", "10", "123456789"} {
		var d slidingwindow.Decision
		err := d.UnmarshalText([]byte(version + string(text[1:])))
		require.ErrorIs(t, err, slidingwindow.ErrDecisionVersion)
		require.NotErrorIs(t, err, slidingwindow.ErrDecisionChanged)
		require.EqualError(t, err, "slidingwindow: decision of another version: the text is of version "+version+"; allowed: version 1")
		require.Zero(t, d)
	}
	var d slidingwindow.Decision
	err = json.Unmarshal([]byte(`"2.AAAA"`), &d)
	assert.ErrorIs(t, err, slidingwindow.ErrDecisionVersion, "through JSON, too")
}

func TestMarshalTextOfAChangedDecisionIsATypedError(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*slidingwindow.Decision){
		"Granted":        func(d *slidingwindow.Decision) { d.Granted++ },
		"nothing":        func(d *slidingwindow.Decision) { d.Granted = 0 },
		"Limit":          func(d *slidingwindow.Decision) { d.Limit.Name = "x" },
		"Remaining":      func(d *slidingwindow.Decision) { d.Remaining-- },
		"RetryAfter":     func(d *slidingwindow.Decision) { d.RetryAfter++ },
		"ReplenishAfter": func(d *slidingwindow.Decision) { d.ReplenishAfter++ },
	} {
		d := decided(t, "k", "redis:rl", 0, oneStatus, otherStatus)
		change(&d)
		_, err := d.MarshalText()
		assert.ErrorIs(t, err, slidingwindow.ErrDecisionChanged, name)
	}
	_, err := slidingwindow.Decision{Allowed: true, Remaining: 3}.MarshalText()
	assert.ErrorIs(t, err, slidingwindow.ErrDecisionChanged, "what is left, but of no limit")
}

// Who adds a field adds it to the text, and to the next test.
func TestTextsKnowEveryField(t *testing.T) {
	t.Parallel()
	for of, fields := range map[reflect.Type]int{
		reflect.TypeFor[slidingwindow.Decision](): 13,
		reflect.TypeFor[slidingwindow.Status]():   6,
		reflect.TypeFor[slidingwindow.Limit]():    4,
	} {
		assert.Equal(t, fields, of.NumField(), "fields of %v", of)
	}
}

// Every Decision that a store can make comes back as it was.
func TestTextsHoldAllOfAnyDecision(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		statuses := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) slidingwindow.Status {
			return slidingwindow.Status{
				Limit: slidingwindow.Limit{
					Name: rapid.StringMatching(`[ -~]{1,64}`).Draw(rt, "name"),
					Max:  rapid.Int64().Draw(rt, "max"), Window: time.Duration(rapid.Int64().Draw(rt, "window")),
					Resolution: time.Duration(rapid.Int64().Draw(rt, "resolution")),
				},
				Granted: rapid.Int64().Draw(rt, "granted"), Remaining: rapid.Int64().Draw(rt, "remaining"),
				RetryAfter: time.Duration(rapid.Int64().Draw(rt, "retry")), ReplenishAfter: time.Duration(rapid.Int64().Draw(rt, "reset")),
				Receipt: rapid.Int64().Draw(rt, "receipt"),
			}
		}), 1, 4).Draw(rt, "statuses")
		for i := range statuses {
			statuses[i].Granted = max(0, statuses[i].Granted)
		}
		d := decided(rt, rapid.StringN(1, 200, -1).Draw(rt, "key"), rapid.String().Draw(rt, "store"), time.Duration(rapid.Int64().Draw(rt, "delay")), statuses...)
		d.Allowed, d.Reason = rapid.Bool().Draw(rt, "allowed"), slidingwindow.Reason(rapid.String().Draw(rt, "reason"))
		require.Equal(rt, d, naive.ThroughText(rt, d))
	})
}

// FuzzDecisionText gives any text, and any content with a checksum that fits. What can be decoded must
// encode to the same; nothing may panic, not even to settle it.
func FuzzDecisionText(f *testing.F) {
	store, err := memory.NewWithConfig(memory.Config{})
	require.NoError(f, err)
	l := newLimiter(f, store, slidingwindow.PerMinute(100))
	taken, err := l.Allow(f.Context(), "k")
	require.NoError(f, err)
	for _, d := range []slidingwindow.Decision{{}, taken, decided(f, "k", "redis:rl", time.Second, oneStatus, otherStatus)} {
		text, err := d.MarshalText()
		require.NoError(f, err)
		f.Add(text)
		content, err := base64.RawURLEncoding.DecodeString(string(text[2:]))
		require.NoError(f, err)
		f.Add(content[:len(content)-8])
	}
	f.Add([]byte("2.AAAA"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, text := range [][]byte{data, slidingwindow.TextOf(data)} {
			var d slidingwindow.Decision
			if err := d.UnmarshalText(text); err != nil {
				known := errors.Is(err, slidingwindow.ErrDecisionChanged) || errors.Is(err, slidingwindow.ErrDecisionVersion)
				require.True(t, known, "%v", err)
				require.Zero(t, d)
				continue
			}
			again, err := d.MarshalText()
			require.NoError(t, err)
			require.Equal(t, string(text), string(again))
			_ = d.Statuses()
			_ = l.Refund(t.Context(), "k", d)
			_ = l.Settle(t.Context(), "k", d, slidingwindow.Cost{d.Limit.Name: 1})
		}
	})
}
