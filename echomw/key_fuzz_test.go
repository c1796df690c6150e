package echomw_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// parts are constant Keyers, without the empty ones, which give no key.
func parts(texts ...string) (given []string, keyers []echomw.Keyer) {
	for _, text := range texts {
		if text != "" {
			given = append(given, text)
			keyers = append(keyers, constant(text))
		}
	}
	return given, keyers
}

// Two joined keys are one only if all their parts are, however many there are of them
// and however long, in the store too.
func FuzzJoin(f *testing.F) {
	long := strings.Repeat("k", 127)
	f.Add("a|b", "c", "", "a", "b|c", "")
	f.Add(`a\`, "b", "", "a", `\b`, "")
	f.Add("a", "b", "c", "a", "b|c", "")
	f.Add(long, "a", "b", long, "a|b", "")
	f.Fuzz(func(t *testing.T, a1, a2, a3, b1, b2, b3 string) {
		a, keysA := parts(a1, a2, a3)
		b, keysB := parts(b1, b2, b3)
		if a == nil || b == nil {
			return
		}
		joinA, joinB := echomw.Join(keysA...), echomw.Join(keysB...)
		require.Equal(t, slices.Equal(a, b), storedKey(t, joinA) == storedKey(t, joinB), "%q and %q", a, b)

		// A join is a part like any other.
		nested := storedKey(t, echomw.Join(joinA, constant("x")))
		require.Equal(t, slices.Equal(a, b), nested == storedKey(t, echomw.Join(joinB, constant("x"))))
		if len(a) > 1 {
			require.NotEqual(t, nested, storedKey(t, echomw.Join(append(slices.Clone(keysA), constant("x"))...)))
		}
	})
}

// Two keys of FirstOf are one only if they are of one part. Hashed keeps them apart.
func FuzzFirstOf(f *testing.F) {
	f.Add(uint8(0), "198.51.100.7", uint8(1), "198.51.100.7")
	f.Add(uint8(1), "0:a", uint8(10), ":a")
	f.Add(uint8(1), "1:a", uint8(11), "a")
	f.Fuzz(func(t *testing.T, i uint8, a string, j uint8, b string) {
		if a == "" || b == "" {
			return
		}
		firstOf := func(index uint8, key string) echomw.Keyer {
			keyers := slices.Repeat([]echomw.Keyer{constant("")}, int(index)+1)
			keyers[index] = constant(key)
			return echomw.FirstOf(keyers...)
		}
		first, second := firstOf(i, a), firstOf(j, b)
		same := i == j && a == b
		require.Equal(t, same, storedKey(t, first) == storedKey(t, second), "%d %q and %d %q", i, a, j, b)
		hashOfFirst := storedKey(t, echomw.Hashed(secret, first))
		require.Len(t, hashOfFirst, 43)
		require.Equal(t, same, hashOfFirst == storedKey(t, echomw.Hashed(secret, second)))
	})
}

// The grammar that the documentation of ParseKey gives. A token is that of RFC 9110.
var keyGrammar = func() *regexp.Regexp {
	const space, token = `[\s\v\x{85}\pZ]*`, "[-!#$%&'*.^_`|~0-9A-Za-z]+"
	const name = `[^+\s\v\x{85}\pZ](?:[^+]*[^+\s\v\x{85}\pZ])?`
	part := space + `(?:hashed:)?(?:ip|route|(?:header|cookie):` + token + `|(?:query|param|form):` + name + `)` + space
	return regexp.MustCompile(`^` + part + `(?:\+` + part + `)*$`)
}()

// What ParseKey takes is what its grammar has, no more and no less. No Keyer of it
// panics, and two texts of different parts are different Keyers.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		"", "ip", "ip + route", "hashed:header:X-API-Key", "cookie:session+query:tenant", "param:id", "form:email", "hashed:hashed:ip",
		"header:X-API-Key:", "query::", "query: a", "ip+", " ip ", "\u00a0ip\u0085",
	} {
		f.Add(seed, 0, []byte("a secret of tests"))
	}
	f.Add("hashed:ip", 64, []byte("hunter2"))
	f.Fuzz(func(t *testing.T, text string, prefix int, hmacSecret []byte) {
		options := echomw.KeyOptions{IPv6Prefix: prefix, Secret: hmacSecret}
		isHashed := false
		for part := range strings.SplitSeq(text, "+") {
			isHashed = isHashed || strings.HasPrefix(strings.TrimSpace(part), "hashed:")
		}
		valid := keyGrammar.MatchString(text) && (prefix == 0 || prefix >= 32 && prefix <= 64) &&
			(len(hmacSecret) >= 16 || len(hmacSecret) == 0 && !isHashed)

		keyer, err := echomw.ParseKey(text, options)
		if !valid {
			require.Nil(t, keyer)
			require.ErrorIs(t, err, echomw.ErrInvalidConfig)
			for _, fault := range configErrors(err) {
				require.Regexp(t, `^(KeyOptions|ParseKey: part)(.|\n)+ is (.|\n)+; allowed: .+`, fault)
			}
			return
		}
		require.NoError(t, err)
		key, err := keyOf(echo.New(), keyer, header("X-API-Key", "live_4711"), header("Cookie", "session=s"), query("tenant=acme"))
		if err != nil {
			require.ErrorIs(t, err, echomw.ErrNoKey)
			require.NotErrorIs(t, err, echomw.ErrInvalidConfig)
		} else {
			require.NotEmpty(t, key)
		}

		again, err := echomw.ParseKey(" "+strings.ReplaceAll(text, "+", " + ")+"\n", options)
		require.NoError(t, err)
		sameKey, _ := keyOf(echo.New(), again, header("X-API-Key", "live_4711"), header("Cookie", "session=s"), query("tenant=acme"))
		require.Equal(t, key, sameKey, "white space around parts")
	})
}

// Whatever the request is: the key is what the handler finds, and no error quotes it.
func FuzzKeyByForm(f *testing.F) {
	const multipartType = "multipart/form-data; boundary=b"
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=" + name + "\r\n\r\n" + value + "\r\n"
	}
	f.Add(echo.MIMEApplicationForm, "k=a", "")
	f.Add(echo.MIMEApplicationForm, "k=a&k=b", "x=1")
	f.Add(echo.MIMEApplicationForm, "k=a", "k=b")
	f.Add(echo.MIMEApplicationForm, "k=a&%zz", "")
	f.Add(echo.MIMEApplicationForm, "k=a;", "%zz")
	f.Add(echo.MIMEApplicationJSON, `{"k":"a"}`, "")
	f.Add(multipartType, part("k", "a")+"--b--\r\n", "")
	f.Add(multipartType, part("k", "a")+part("k", "b")+"--b--\r\n", "")
	f.Add(multipartType, part("k", "a")+"--b--\r\n", "k=b")
	f.Add(multipartType, part("k", "a"), "")
	f.Add("Multipart/Form-Data; boundary=b", part(`"k"; filename=x`, "a")+"--b--\r\n", "")

	keyer := echomw.FirstOf(echomw.KeyByForm("k"), constant("absent"))
	f.Fuzz(func(t *testing.T, contentType, text, rawQuery string) {
		req := request(body(contentType, text), query(rawQuery))
		c := echo.New().NewContext(req, nil)
		key, err := keyer.Key(c)
		if err != nil {
			require.Empty(t, key)
			require.ErrorIs(t, err, echomw.ErrNoKey)
			require.Regexp(t, `^code=400, message=form field k (occurs more than once|is in the URL's query; it belongs in the body|is there in another spelling|`+
				`cannot be read: the body is not a valid form), internal=echomw: no key for this request: form field k `, err.Error())
			return
		}
		value := c.FormValue("k")
		if key == "1:absent" {
			assert.Empty(t, value, "the handler has a value that was not counted")
		} else {
			assert.Equal(t, "0:"+value, key)
		}
	})
}
