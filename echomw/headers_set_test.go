package echomw_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

func TestParseHeaders(t *testing.T) {
	for text, want := range map[string]echomw.Headers{
		"draft-11":                       echomw.HeadersDraft11,
		"draft-10":                       echomw.HeadersDraft11,
		"draft-9":                        echomw.HeadersDraft11,
		"draft-8":                        echomw.HeadersDraft11,
		"draft-7":                        echomw.HeadersDraft7,
		"draft-6":                        echomw.HeadersDraft6,
		"legacy":                         echomw.HeadersLegacy,
		"none":                           echomw.HeadersNone,
		"draft-11, legacy":               echomw.HeadersDraft11 | echomw.HeadersLegacy,
		"  legacy,draft-6\t,\t draft-7 ": echomw.HeadersLegacy | echomw.HeadersDraft6 | echomw.HeadersDraft7,
		"draft-8,draft-11":               echomw.HeadersDraft11,
		"legacy,legacy":                  echomw.HeadersLegacy,
		"draft-11, draft-6, legacy":      echomw.HeadersDraft11 | echomw.HeadersDraft6 | echomw.HeadersLegacy,
	} {
		headers, err := echomw.ParseHeaders(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, headers, text)
	}
}

func TestParseHeadersSaysWhatIsWrong(t *testing.T) {
	const allowed = `; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`
	for text, fault := range map[string]string{
		"":                       `a name is ""`,
		"legacy,":                `a name is ""`,
		"Legacy":                 `a name is "Legacy"`,
		"draft-11, draft-5":      `a name is "draft-5"`,
		"draft-11 legacy":        `a name is "draft-11 legacy"`,
		"draft-7, draft-9":       `text is "draft-7, draft-9", which has draft-11 and draft-7, which disagree on RateLimit`,
		"none, legacy":           `text is "none, legacy", which has none together with another format`,
		"Headers(32)":            `a name is "Headers(32)"`,
		"caf\xe9":                `a name is "caf\xe9"`,
		strings.Repeat("x", 100): `a name is "` + strings.Repeat("x", 32) + `..."`,
	} {
		headers, err := echomw.ParseHeaders(text)
		assert.EqualError(t, err, "echomw: invalid configuration: ParseHeaders: "+fault+allowed)
		assert.ErrorIs(t, err, echomw.ErrInvalidConfig)
		assert.Zero(t, headers)
	}
}

func TestStringOfHeadersParsesBack(t *testing.T) {
	assert.Equal(t, "draft-11", echomw.Headers(0).String(), "for which the zero value stands")
	assert.Equal(t, "draft-11, draft-7, draft-6, legacy, none, Headers(32), Headers(128)", echomw.Headers(0b1011_1111).String())
	for set := echomw.HeadersDraft11; set <= echomw.HeadersNone; set++ {
		parsed, err := echomw.ParseHeaders(set.String())
		const disagreeing = echomw.HeadersDraft11 | echomw.HeadersDraft7
		if set&disagreeing == disagreeing {
			assert.Error(t, err)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, set, parsed)
	}
}

func TestConfigTakesTheSameHeadersAsParseHeaders(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(1))
	for n := range 256 {
		set := echomw.Headers(n)
		_, parseErr := echomw.ParseHeaders(set.String())
		_, err := echomw.Config{Limiter: limiter, Headers: set}.ToMiddleware()
		if parseErr == nil {
			assert.NoError(t, err, set)
			continue
		}
		require.Error(t, err, set)
		assert.Contains(t, err.Error(), "echomw: invalid configuration: Config.Headers is \""+set.String()+"\", which has ")
		assert.Contains(t, err.Error(), `; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`)
	}
	_, err := echomw.Config{Headers: echomw.HeadersNone | echomw.HeadersLegacy}.ToMiddleware()
	require.Error(t, err)
	assert.Contains(t, err.Error(), "Config.Limiter is nil", "all faults at once")
	assert.Contains(t, err.Error(), `Config.Headers is "legacy, none", which has none together with another format`)
}
