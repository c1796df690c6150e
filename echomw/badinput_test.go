package echomw_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// TestBadInput has settings and arguments that this package refuses at start-up, and the
// whole error: which setting, what was given, what is allowed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	limiter := newLimiter(t, newClock(), api(1))
	config := func(config echomw.Config) error {
		if config.Limiter == nil {
			config.Limiter = limiter
		}
		_, err := config.ToMiddleware()
		return err
	}
	keyed := func(key echomw.Keyer) error { return config(echomw.Config{Key: key}) }
	status := func(codes echomw.StatusCodes) error { return config(echomw.Config{Status: codes}) }
	message := func(message any) error { return config(echomw.Config{Message: message}) }
	parseKey := func(text string, options echomw.KeyOptions) error {
		_, err := echomw.ParseKey(text, options)
		return err
	}
	key := func(text string) error { return parseKey(text, echomw.KeyOptions{Secret: secret}) }
	headers := func(text string) error {
		_, err := echomw.ParseHeaders(text)
		return err
	}
	noLimiter := func() error {
		_, err := echomw.Config{}.ToMiddleware()
		return err
	}
	ip := echomw.KeyByIP(0)
	always := func(echo.Context, error) bool { return true }
	rows := []struct {
		err  error
		want string
	}{
		// Config.
		{err: noLimiter(), want: `echomw: invalid configuration: Config.Limiter is nil; allowed: a limiter from slidingwindow.New`},
		{err: config(echomw.Config{Limiter: &slidingwindow.Limiter{}}), want: `echomw: invalid configuration: Config.Limiter is one without limits; allowed: a limiter from slidingwindow.New`},
		{err: status(echomw.StatusCodes{Refused: 200}), want: `echomw: invalid configuration: Config.Status.Refused is 200; allowed: 400 to 599 (0 stands for the default)`},
		{err: status(echomw.StatusCodes{Refused: 399}), want: `echomw: invalid configuration: Config.Status.Refused is 399; allowed: 400 to 599 (0 stands for the default)`},
		{err: status(echomw.StatusCodes{Refused: 600}), want: `echomw: invalid configuration: Config.Status.Refused is 600; allowed: 400 to 599 (0 stands for the default)`},
		{err: status(echomw.StatusCodes{Refused: -429}), want: `echomw: invalid configuration: Config.Status.Refused is -429; allowed: 400 to 599 (0 stands for the default)`},
		{err: status(echomw.StatusCodes{Refused: 1 << 30}), want: `echomw: invalid configuration: Config.Status.Refused is 1073741824; allowed: 400 to 599 (0 stands for the default)`},
		{err: status(echomw.StatusCodes{NoKey: 302}), want: `echomw: invalid configuration: Config.Status.NoKey is 302; allowed: 400 to 599 (0 stands for the default)`},
		{err: status(echomw.StatusCodes{Failed: 1}), want: `echomw: invalid configuration: Config.Status.Failed is 1; allowed: 400 to 599 (0 stands for the default)`},
		{err: status(echomw.StatusCodes{Refused: 1, NoKey: 2, Failed: 3}), want: "echomw: invalid configuration: Config.Status.Refused is 1; allowed: 400 to 599 (0 stands for the default)\nechomw: invalid configuration: Config.Status.NoKey is 2; allowed: 400 to 599 (0 stands for the default)\nechomw: invalid configuration: Config.Status.Failed is 3; allowed: 400 to 599 (0 stands for the default)"},
		{err: config(echomw.Config{SkipFailed: true, SkipSuccessful: true}), want: `echomw: invalid configuration: Config is with 2 of SkipFailed, SkipSuccessful and CountIf; allowed: at most one of them`},
		{err: config(echomw.Config{SkipFailed: true, CountIf: always}), want: `echomw: invalid configuration: Config is with 2 of SkipFailed, SkipSuccessful and CountIf; allowed: at most one of them`},
		{err: config(echomw.Config{SkipFailed: true, SkipSuccessful: true, CountIf: always}), want: `echomw: invalid configuration: Config is with 3 of SkipFailed, SkipSuccessful and CountIf; allowed: at most one of them`},
		{err: config(echomw.Config{Headers: echomw.HeadersNone | echomw.HeadersLegacy}), want: `echomw: invalid configuration: Config.Headers is "legacy, none", which has none together with another format; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: config(echomw.Config{Headers: 32}), want: `echomw: invalid configuration: Config.Headers is "Headers(32)", which has bits that are no format; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: config(echomw.Config{Headers: 255}), want: `echomw: invalid configuration: Config.Headers is "draft-11, draft-7, draft-6, legacy, none, Headers(32), Headers(64), Headers(128)", which has bits that are no format; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: message([]byte("{}")), want: `echomw: invalid configuration: Config.Message is bytes ([]uint8), which JSON encodes in base64; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON`},
		{err: message(namedBytes("{}")), want: `echomw: invalid configuration: Config.Message is bytes (echomw_test.namedBytes), which JSON encodes in base64; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON`},
		{err: message(json.RawMessage(nil)), want: `echomw: invalid configuration: Config.Message is a json.RawMessage that holds nothing, which JSON encodes as null; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON`},
		{err: message(json.RawMessage("null")), want: `echomw: invalid configuration: Config.Message is a json.RawMessage that holds nothing, which JSON encodes as null; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON`},
		{err: message(math.NaN()), want: "echomw: invalid configuration: Config.Message is a float64, which does not encode as JSON; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON\njson: unsupported value: NaN"},
		{err: message(make(chan int)), want: "echomw: invalid configuration: Config.Message is a chan int, which does not encode as JSON; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON\njson: unsupported type: chan int"},
		{err: message((*echo.HTTPError)(nil)), want: `echomw: invalid configuration: Config.Message is a *echo.HTTPError that holds nothing, which JSON encodes as null; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON`},
		{err: message(echo.Map(nil)), want: `echomw: invalid configuration: Config.Message is a echo.Map that holds nothing, which JSON encodes as null; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON`},
		{err: message(echomw.MessageFunc(nil)), want: `echomw: invalid configuration: Config.Message is a MessageFunc that is nil; allowed: nil for the default body, or a function`},
		{err: message(func() string { return "" }), want: "echomw: invalid configuration: Config.Message is a func() string, which does not encode as JSON; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON\njson: unsupported type: func() string"},
		// Keys.
		{err: keyed(echomw.KeyFunc(nil)), want: `echomw: invalid configuration: KeyFunc is nil; allowed: a function that returns a key`},
		{err: keyed(echomw.KeyByIP(-1)), want: `echomw: invalid configuration: KeyByIP: ipv6Prefix is -1; allowed: 32 to 64 bits (0 stands for the default of 56)`},
		{err: keyed(echomw.KeyByIP(31)), want: `echomw: invalid configuration: KeyByIP: ipv6Prefix is 31; allowed: 32 to 64 bits (0 stands for the default of 56)`},
		{err: keyed(echomw.KeyByIP(65)), want: `echomw: invalid configuration: KeyByIP: ipv6Prefix is 65; allowed: 32 to 64 bits (0 stands for the default of 56)`},
		{err: keyed(echomw.KeyByIP(128)), want: `echomw: invalid configuration: KeyByIP: ipv6Prefix is 128; allowed: 32 to 64 bits (0 stands for the default of 56)`},
		{err: keyed(echomw.KeyByHeader("")), want: `echomw: invalid configuration: KeyByHeader: name is ""; allowed: the name of a header, such as "X-API-Key"`},
		{err: keyed(echomw.KeyByHeader("X-API-Key:")), want: `echomw: invalid configuration: KeyByHeader: name is "X-API-Key:"; allowed: the name of a header, such as "X-API-Key"`},
		{err: keyed(echomw.KeyByHeader(" X-API-Key")), want: `echomw: invalid configuration: KeyByHeader: name is " X-API-Key"; allowed: the name of a header, such as "X-API-Key"`},
		{err: keyed(echomw.KeyByHeader("X\r\nY")), want: `echomw: invalid configuration: KeyByHeader: name is "X\r\nY"; allowed: the name of a header, such as "X-API-Key"`},
		{err: keyed(echomw.KeyByHeader("Ключ")), want: `echomw: invalid configuration: KeyByHeader: name is "\u041a\u043b\u044e\u0447"; allowed: the name of a header, such as "X-API-Key"`},
		{err: keyed(echomw.KeyByHeader("redis://:hunter2@h")), want: `echomw: invalid configuration: KeyByHeader: name is a text that is not shown, as it may hold a password; allowed: the name of a header, such as "X-API-Key"`},
		{err: keyed(echomw.KeyByCookie("")), want: `echomw: invalid configuration: KeyByCookie: name is ""; allowed: the name of a cookie, such as "session"`},
		{err: keyed(echomw.KeyByCookie("a=b")), want: `echomw: invalid configuration: KeyByCookie: name is "a=b"; allowed: the name of a cookie, such as "session"`},
		{err: keyed(echomw.KeyByCookie("a;b")), want: `echomw: invalid configuration: KeyByCookie: name is "a;b"; allowed: the name of a cookie, such as "session"`},
		{err: keyed(echomw.KeyByQuery("")), want: `echomw: invalid configuration: KeyByQuery: name is ""; allowed: the name of a query parameter`},
		{err: keyed(echomw.KeyByParam("")), want: `echomw: invalid configuration: KeyByParam: name is ""; allowed: the name of a path parameter`},
		{err: keyed(echomw.KeyByForm("")), want: `echomw: invalid configuration: KeyByForm: name is ""; allowed: the name of a form field`},
		{err: keyed(echomw.KeyByUser(nil)), want: `echomw: invalid configuration: KeyByUser: user is nil; allowed: a function that returns the user of a request`},
		{err: keyed(echomw.Join()), want: `echomw: invalid configuration: Join: keys is empty; allowed: one Keyer or more`},
		{err: keyed(echomw.Join(nil)), want: `echomw: invalid configuration: Join: part 0: Keyer is nil; allowed: a KeyFunc, or what KeyByIP and the other functions that return a Keyer make`},
		{err: keyed(echomw.Join(ip, nil, echomw.KeyByIP(1))), want: "echomw: invalid configuration: Join: part 1: Keyer is nil; allowed: a KeyFunc, or what KeyByIP and the other functions that return a Keyer make\nechomw: invalid configuration: Join: part 2: KeyByIP: ipv6Prefix is 1; allowed: 32 to 64 bits (0 stands for the default of 56)"},
		{err: keyed(echomw.FirstOf()), want: `echomw: invalid configuration: FirstOf: keys is empty; allowed: one Keyer or more`},
		{err: keyed(echomw.FirstOf(ip, nil)), want: `echomw: invalid configuration: FirstOf: part 1: Keyer is nil; allowed: a KeyFunc, or what KeyByIP and the other functions that return a Keyer make`},
		{err: keyed(echomw.Hashed(nil, ip)), want: `echomw: invalid configuration: Hashed: secret is 0 bytes long; allowed: 16 bytes or more, best random ones`},
		{err: keyed(echomw.Hashed([]byte("hunter2-hunter2"), ip)), want: `echomw: invalid configuration: Hashed: secret is 15 bytes long; allowed: 16 bytes or more, best random ones`},
		{err: keyed(echomw.Hashed(secret, nil)), want: `echomw: invalid configuration: Hashed: Keyer is nil; allowed: a KeyFunc, or what KeyByIP and the other functions that return a Keyer make`},
		{err: keyed(echomw.Hashed(nil, echomw.FirstOf(echomw.Join(echomw.KeyByHeader(""))))), want: "echomw: invalid configuration: Hashed: secret is 0 bytes long; allowed: 16 bytes or more, best random ones\nechomw: invalid configuration: Hashed: FirstOf: part 0: Join: part 0: KeyByHeader: name is \"\"; allowed: the name of a header, such as \"X-API-Key\""},
		// ParseKey.
		{err: key(""), want: `echomw: invalid configuration: ParseKey: part 0 is ""; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key(" "), want: `echomw: invalid configuration: ParseKey: part 0 is ""; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("+"), want: "echomw: invalid configuration: ParseKey: part 0 is \"\"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it\nechomw: invalid configuration: ParseKey: part 1 is \"\"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it"},
		{err: key("ip+"), want: `echomw: invalid configuration: ParseKey: part 1 is ""; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("IP"), want: `echomw: invalid configuration: ParseKey: part 0 is "IP"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("ip:56"), want: `echomw: invalid configuration: ParseKey: part 0 is "ip:56"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("ip,route"), want: `echomw: invalid configuration: ParseKey: part 0 is "ip,route"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("ip|route"), want: `echomw: invalid configuration: ParseKey: part 0 is "ip|route"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("user"), want: `echomw: invalid configuration: ParseKey: part 0 is "user"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("header"), want: `echomw: invalid configuration: ParseKey: part 0 is "header"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("header:"), want: `echomw: invalid configuration: ParseKey: part 0: KeyByHeader: name is ""; allowed: the name of a header, such as "X-API-Key"`},
		{err: key("header: X"), want: `echomw: invalid configuration: ParseKey: part 0 is "header: X"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("header:a b"), want: `echomw: invalid configuration: ParseKey: part 0: KeyByHeader: name is "a b"; allowed: the name of a header, such as "X-API-Key"`},
		{err: key("Header:X"), want: `echomw: invalid configuration: ParseKey: part 0 is "Header:X"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("cookie:a=b"), want: `echomw: invalid configuration: ParseKey: part 0: KeyByCookie: name is "a=b"; allowed: the name of a cookie, such as "session"`},
		{err: key("query:"), want: `echomw: invalid configuration: ParseKey: part 0: KeyByQuery: name is ""; allowed: the name of a query parameter`},
		{err: key("hashed:"), want: `echomw: invalid configuration: ParseKey: part 0 is "hashed:"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("hashed:hashed:ip"), want: `echomw: invalid configuration: ParseKey: part 0 is "hashed:hashed:ip"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("ip\x00"), want: `echomw: invalid configuration: ParseKey: part 0 is "ip\x00"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("\ufeffip"), want: `echomw: invalid configuration: ParseKey: part 0 is "\ufeffip"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("a\nb"), want: `echomw: invalid configuration: ParseKey: part 0 is "a\nb"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key(strings.Repeat("x", 1<<20)), want: `echomw: invalid configuration: ParseKey: part 0 is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: key("redis://:hunter2@h"), want: `echomw: invalid configuration: ParseKey: part 0 is a text that is not shown, as it may hold a password; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it`},
		{err: parseKey("hashed:ip", echomw.KeyOptions{}), want: `echomw: invalid configuration: KeyOptions.Secret is 0 bytes long; allowed: 16 bytes or more, best random ones`},
		{err: parseKey("ip", echomw.KeyOptions{Secret: []byte("hunter2")}), want: `echomw: invalid configuration: KeyOptions.Secret is 7 bytes long; allowed: 16 bytes or more, best random ones`},
		{err: parseKey("route", echomw.KeyOptions{IPv6Prefix: 128}), want: `echomw: invalid configuration: KeyOptions.IPv6Prefix is 128; allowed: 32 to 64 bits (0 stands for the default of 56)`},
		{err: parseKey("x+hashed:cookie:", echomw.KeyOptions{IPv6Prefix: -1}), want: "echomw: invalid configuration: KeyOptions.IPv6Prefix is -1; allowed: 32 to 64 bits (0 stands for the default of 56)\nechomw: invalid configuration: ParseKey: part 0 is \"x\"; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it\nechomw: invalid configuration: ParseKey: part 1: KeyByCookie: name is \"\"; allowed: the name of a cookie, such as \"session\"\nechomw: invalid configuration: KeyOptions.Secret is 0 bytes long; allowed: 16 bytes or more, best random ones"},
		// ParseHeaders.
		{err: headers(""), want: `echomw: invalid configuration: ParseHeaders: a name is ""; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers(","), want: `echomw: invalid configuration: ParseHeaders: a name is ""; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("legacy,"), want: `echomw: invalid configuration: ParseHeaders: a name is ""; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("Legacy"), want: `echomw: invalid configuration: ParseHeaders: a name is "Legacy"; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("draft-12"), want: `echomw: invalid configuration: ParseHeaders: a name is "draft-12"; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("draft-011"), want: `echomw: invalid configuration: ParseHeaders: a name is "draft-011"; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("draft-11;legacy"), want: `echomw: invalid configuration: ParseHeaders: a name is "draft-11;legacy"; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("none,legacy"), want: `echomw: invalid configuration: ParseHeaders: text is "none,legacy", which has none together with another format; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("legacy\n"), want: `echomw: invalid configuration: ParseHeaders: a name is "legacy\n"; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("\ufefflegacy"), want: `echomw: invalid configuration: ParseHeaders: a name is "\ufefflegacy"; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers("redis://:hunter2@h"), want: `echomw: invalid configuration: ParseHeaders: a name is a text that is not shown, as it may hold a password; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
		{err: headers(strings.Repeat("x", 1<<20)), want: `echomw: invalid configuration: ParseHeaders: a name is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`},
	}
	for _, row := range rows {
		assert.EqualError(t, row.err, row.want)
		assert.ErrorIs(t, row.err, echomw.ErrInvalidConfig, row.want)
	}
	assert.GreaterOrEqual(t, len(rows), 90)
}
