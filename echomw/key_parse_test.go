package echomw_test

import (
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

func TestParseKey(t *testing.T) {
	byIP, byRoute, byHeader := echomw.KeyByIP(0), echomw.KeyByRoute(), echomw.KeyByHeader("X-API-Key")
	for text, want := range map[string]echomw.Keyer{
		"ip":                        byIP,
		"route":                     byRoute,
		"header:X-API-Key":          byHeader,
		"cookie:session":            echomw.KeyByCookie("session"),
		"query:tenant":              echomw.KeyByQuery("tenant"),
		"query:filter[a:b]":         echomw.KeyByQuery("filter[a:b]"),
		"param:id":                  echomw.KeyByParam("id"),
		"param:*":                   echomw.KeyByParam("*"),
		"form:email":                echomw.KeyByForm("email"),
		"form:first name":           echomw.KeyByForm("first name"),
		" \tip\n":                   byIP,
		"ip+route":                  echomw.Join(byIP, byRoute),
		" ip + header:X-API-Key ":   echomw.Join(byIP, byHeader),
		"route+ip+header:X-API-Key": echomw.Join(byRoute, byIP, byHeader),
		"ip+ip":                     echomw.Join(byIP, byIP),
	} {
		got, err := echomw.ParseKey(text, echomw.KeyOptions{})
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
}

func TestParseKeyOptions(t *testing.T) {
	options := echomw.KeyOptions{IPv6Prefix: 48, Secret: []byte("a secret of tests")}
	from6 := from("[2001:db8:1234:5678::1]:443")

	key, err := echomw.ParseKey("ip", options)
	require.NoError(t, err)
	assert.Equal(t, echomw.KeyByIP(48), key)

	key, err = echomw.ParseKey("hashed:ip + hashed:header:X-API-Key + route", options)
	require.NoError(t, err)
	clear(options.Secret)
	got, err := keyOf(echo.New(), key, from6, header("X-API-Key", "live_4711"))
	require.NoError(t, err)
	assert.Equal(t, hashed(t, secret, "2001:db8:1234::/48")+"|"+hashed(t, secret, "live_4711")+"|GET (no route)", got)
}

func TestParseKeyReportsAllThatIsWrong(t *testing.T) {
	const allowed = "; allowed: ip, ip:header:NAME, route, pattern, header:NAME, cookie:NAME, query:NAME, param:NAME or form:NAME, without white space around NAME; hashed: may come before it"
	const short = " bytes long; allowed: 16 bytes or more, best random ones"
	for _, test := range []struct {
		text    string
		options echomw.KeyOptions
		faults  []string
	}{
		{text: "", faults: []string{`ParseKey: part 0 is ""` + allowed}},
		{text: "  ", faults: []string{`ParseKey: part 0 is ""` + allowed}},
		{text: "+", faults: []string{`ParseKey: part 0 is ""` + allowed, `ParseKey: part 1 is ""` + allowed}},
		{text: "ip+", faults: []string{`ParseKey: part 1 is ""` + allowed}},
		{text: "IP", faults: []string{`ParseKey: part 0 is "IP"` + allowed}},
		{text: "ip:56", faults: []string{`ParseKey: part 0 is "ip:56"` + allowed}},
		{text: "ip:", faults: []string{`ParseKey: part 0 is "ip:"` + allowed}},
		{text: "header", faults: []string{`ParseKey: part 0 is "header"` + allowed}},
		{text: "user", faults: []string{`ParseKey: part 0 is "user"` + allowed}},
		{text: "ip,route", faults: []string{`ParseKey: part 0 is "ip,route"` + allowed}},
		{text: "query: tenant", faults: []string{`ParseKey: part 0 is "query: tenant"` + allowed}},
		{text: "query :tenant", faults: []string{`ParseKey: part 0 is "query :tenant"` + allowed}},
		{text: "hashed:", options: echomw.KeyOptions{Secret: secret}, faults: []string{`ParseKey: part 0 is "hashed:"` + allowed}},
		{text: "hashed", options: echomw.KeyOptions{Secret: secret}, faults: []string{`ParseKey: part 0 is "hashed"` + allowed}},
		{text: "hashed:hashed:ip", options: echomw.KeyOptions{Secret: secret}, faults: []string{`ParseKey: part 0 is "hashed:hashed:ip"` + allowed}},
		{text: "hashed: ip", options: echomw.KeyOptions{Secret: secret}, faults: []string{`ParseKey: part 0 is "hashed: ip"` + allowed}},
		{text: "header:", faults: []string{`ParseKey: part 0: KeyByHeader: name is ""; allowed: the name of a header, such as "X-API-Key"`}},
		{text: "query:", faults: []string{`ParseKey: part 0: KeyByQuery: name is ""; allowed: the name of a query parameter`}},
		{text: "hashed:ip", faults: []string{"KeyOptions.Secret is 0" + short}},
		{text: "ip", options: echomw.KeyOptions{Secret: []byte("hunter2")}, faults: []string{"KeyOptions.Secret is 7" + short}},
		{text: "route", options: echomw.KeyOptions{IPv6Prefix: 128}, faults: []string{
			"KeyOptions.IPv6Prefix is 128; allowed: 32 to 64 bits (0 stands for the default of 56)",
		}},
		{
			text:    "ip + ip + hashed:cookie:a b + ipp + hashed:query:",
			options: echomw.KeyOptions{IPv6Prefix: -1, Secret: []byte("hunter2")},
			faults: []string{
				"KeyOptions.IPv6Prefix is -1; allowed: 32 to 64 bits (0 stands for the default of 56)",
				`ParseKey: part 2: KeyByCookie: name is "a b"; allowed: the name of a cookie, such as "session"`,
				`ParseKey: part 3 is "ipp"` + allowed,
				`ParseKey: part 4: KeyByQuery: name is ""; allowed: the name of a query parameter`,
				"KeyOptions.Secret is 7" + short,
			},
		},
	} {
		key, err := echomw.ParseKey(test.text, test.options)
		assert.Nil(t, key, test.text)
		require.ErrorIs(t, err, echomw.ErrInvalidConfig, test.text)
		assert.Equal(t, test.faults, configErrors(err), test.text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}
