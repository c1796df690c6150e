package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
)

func TestResponseDefaults(t *testing.T) {
	inFiles(t, map[string]string{"config.yaml": "response:\nclient:\n"})
	for _, yaml := range []string{"", "config.yaml"} {
		c, err := config.Load(config.Sources{YAML: yaml, Environ: env("RESPONSE_HEADERS=", "RESPONSE_REFUSED_STATUS=")})
		require.NoError(t, err)
		assert.Equal(t, config.Response{Headers: "draft-11", RefusedStatus: 429, NoKeyStatus: 403, FailedStatus: 503}, c.Response)
	}
}

// Each source sets all that it and the later ones set, so every level shows once.
func TestResponsePrecedence(t *testing.T) {
	inFiles(t, map[string]string{
		"config.yaml": "response: {headers: [legacy], no_key_status: 402, failed_status: 502}\n",
		".env":        "RESPONSE_HEADERS=none\nRESPONSE_FAILED_STATUS=503\n",
	})
	c, err := config.Load(config.Sources{
		YAML:    "config.yaml",
		DotEnv:  ".env",
		Environ: env("RESPONSE_HEADERS=draft-6"),
		Defaults: map[string]any{
			"response.headers": "draft-7", "response.refused_status": 401, "response.no_key_status": "401", "response.failed_status": 501,
		},
	})
	require.NoError(t, err)
	assert.Equal(t, config.Response{Headers: "draft-6", RefusedStatus: 401, NoKeyStatus: 402, FailedStatus: 503}, c.Response)
}

func TestResponseStatusesAtTheEdges(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{Environ: env("RESPONSE_REFUSED_STATUS=400", "RESPONSE_NO_KEY_STATUS=599", "RESPONSE_FAILED_STATUS=400")})
	require.NoError(t, err)
	assert.Equal(t, config.Response{Headers: "draft-11", RefusedStatus: 400, NoKeyStatus: 599, FailedStatus: 400}, c.Response)
}

// Whatever the spelling, a set of formats has one text.
func TestResponseHeaders(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"draft-11":                          "draft-11",
		"draft-10":                          "draft-11",
		"draft-9":                           "draft-11",
		"draft-8":                           "draft-11",
		"draft-7":                           "draft-7",
		"draft-6":                           "draft-6",
		"legacy":                            "legacy",
		"none":                              "none",
		"draft-11, legacy":                  "draft-11, legacy",
		" legacy ,\tdraft-9":                "draft-11, legacy",
		"draft-8,draft-9,draft-10,draft-11": "draft-11",
		"legacy,legacy":                     "legacy",
		"legacy,draft-6,draft-11":           "draft-11, draft-6, legacy",
	} {
		c, err := config.Load(config.Sources{Environ: env("RESPONSE_HEADERS=" + given)})
		require.NoError(t, err, "%q", given)
		assert.Equal(t, want, c.Response.Headers, "%q", given)
		again, err := config.Load(config.Sources{Environ: env("RESPONSE_HEADERS=" + want)})
		require.NoError(t, err)
		assert.Equal(t, want, again.Response.Headers)
	}
}

func TestResponseHeadersAsYAML(t *testing.T) {
	for given, want := range map[string]string{
		"[legacy, draft-8]":           "draft-11, legacy",
		"\n    - none":                "none",
		"draft-7, draft-6":            "draft-7, draft-6",
		`"legacy"`:                    "legacy",
		"[draft-11, 'draft-6'] # two": "draft-11, draft-6",
	} {
		inFiles(t, map[string]string{"config.yaml": "response:\n  headers: " + given})
		c, err := config.Load(config.Sources{YAML: "config.yaml", Environ: env(), Defaults: map[string]any{"response.headers": "draft-6"}})
		require.NoError(t, err, given)
		assert.Equal(t, want, c.Response.Headers, given)
	}
}

func TestResponseRefuses(t *testing.T) {
	const (
		rule   = "; allowed: draft-6, legacy and one of draft-7 and draft-11 (or draft-8, draft-9, draft-10, which mean the same), separated by commas; or none alone"
		inEnv  = "response.headers (RESPONSE_HEADERS in the environment) is "
		inYAML = "response.headers (config.yaml) is "
		status = "; allowed: 400 to 599"
	)
	requireRefused(t, map[string]wrong{
		"format":            {env: []string{"RESPONSE_HEADERS=draft-5"}, want: inEnv + `"draft-5": "draft-5" is not a format` + rule},
		"format case":       {env: []string{"RESPONSE_HEADERS=Legacy"}, want: inEnv + `"Legacy": "Legacy" is not a format` + rule},
		"draft-12":          {env: []string{"RESPONSE_HEADERS=draft-12"}, want: inEnv + `"draft-12": "draft-12" is not a format` + rule},
		"two formats":       {env: []string{"RESPONSE_HEADERS=a,legacy,b"}, want: inEnv + `"a,legacy,b": "a" is not a format` + rule + "\n" + inEnv + `"a,legacy,b": "b" is not a format; ` + above},
		"space for comma":   {env: []string{"RESPONSE_HEADERS=draft-7 legacy"}, want: inEnv + `"draft-7 legacy": "draft-7 legacy" is not a format` + rule},
		"line end":          {yaml: "response: {headers: \"draft-7,\\nlegacy\"}", want: inYAML + `"draft-7,\nlegacy": "\nlegacy" is not a format` + rule},
		"format is a URL":   {env: []string{"RESPONSE_HEADERS=redis://:a,s3cret,b@h"}, want: strings.Replace(strings.Repeat("\n"+inEnv+`"xxxxx@h": a part is not a format; `+above, 3)[1:], "; "+above, rule, 1)},
		"formats end":       {env: []string{"RESPONSE_HEADERS=legacy,"}, want: inEnv + `"legacy,": format 2 is empty` + rule},
		"formats empty":     {yaml: `response: {headers: ""}`, want: inYAML + `"": format 1 is empty` + rule},
		"none and another":  {dotEnv: "RESPONSE_HEADERS=none,draft-7", want: `response.headers (RESPONSE_HEADERS in test.env) is "none,draft-7": none does not go with another format` + rule},
		"two drafts":        {env: []string{"RESPONSE_HEADERS=draft-7,draft-9"}, want: inEnv + `"draft-7,draft-9": draft-11 does not go with draft-7` + rule},
		"list empty":        {yaml: "response: {headers: []}", want: inYAML + "a list: it is empty" + rule},
		"list of none":      {yaml: "response: {headers: [legacy, none]}", want: inYAML + "a list: none does not go with another format" + rule},
		"list with format":  {yaml: "response: {headers: [legacy, draft-x]}", want: inYAML + `a list: "draft-x" is not a format` + rule},
		"list with commas":  {yaml: "response: {headers: ['draft-7,legacy']}", want: inYAML + `a list: "draft-7,legacy" is not a format` + rule},
		"list with spaces":  {yaml: "response: {headers: [' legacy']}", want: inYAML + `a list: " legacy" is not a format` + rule},
		"list with empty":   {yaml: "response: {headers: [legacy, '']}", want: inYAML + "a list: format 2 is empty" + rule},
		"list with number":  {yaml: "response: {headers: [6]}", want: inYAML + "a list: 6 is not a format" + rule},
		"list with null":    {yaml: "response: {headers: [~]}", want: inYAML + "a list: null is not a format" + rule},
		"list in list":      {yaml: "response: {headers: [[legacy]]}", want: inYAML + "a list: a list is not a format" + rule},
		"list with URL":     {yaml: "response: {headers: ['redis://:s3cret@h']}", want: inYAML + `a list: "xxxxx@h" is not a format` + rule},
		"headers null":      {yaml: "response: {headers: }", want: inYAML + "null: a text or a list is needed" + rule},
		"headers false":     {yaml: "response: {headers: false}", want: inYAML + "false: a text or a list is needed" + rule},
		"headers section":   {yaml: "response: {headers: {legacy: true}}", want: inYAML + "a section: a text or a list is needed" + rule},
		"headers default":   {defaults: map[string]any{"response.headers": []string{"legacy"}}, want: `response.headers (the program's defaults) is a []string; allowed: a string, an integer, a bool or, for a duration, a time.Duration`},
		"refused low":       {env: []string{"RESPONSE_REFUSED_STATUS=399"}, want: `response.refused_status (RESPONSE_REFUSED_STATUS in the environment) is "399"` + status},
		"refused high":      {yaml: "response: {refused_status: 600}", want: `response.refused_status (config.yaml) is 600` + status},
		"refused text":      {dotEnv: "RESPONSE_REFUSED_STATUS=Too Many Requests", want: `response.refused_status (RESPONSE_REFUSED_STATUS in test.env) is "Too Many Requests": a whole number is needed` + status},
		"refused octal":     {yaml: "response:\n  refused_status: 0655", want: "config.yaml: line 2 has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"},
		"no key low":        {defaults: map[string]any{"response.no_key_status": 0}, want: `response.no_key_status (the program's defaults) is 0` + status},
		"no key high":       {env: []string{"RESPONSE_NO_KEY_STATUS=600"}, want: `response.no_key_status (RESPONSE_NO_KEY_STATUS in the environment) is "600"` + status},
		"no key underscore": {yaml: "response: {no_key_status: 4_03}", want: "config.yaml: line 1 has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"},
		"failed low":        {env: []string{"RESPONSE_FAILED_STATUS=200"}, want: `response.failed_status (RESPONSE_FAILED_STATUS in the environment) is "200"` + status},
		"failed float":      {yaml: "response: {failed_status: 503.0}", want: `response.failed_status (config.yaml) is 503.0: a whole number is needed` + status},
		"failed signed":     {yaml: "response: {failed_status: +503}", want: "config.yaml: line 1 has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"},
		"all statuses":      {env: []string{"RESPONSE_REFUSED_STATUS=1", "RESPONSE_NO_KEY_STATUS=2", "RESPONSE_FAILED_STATUS=3"}, want: `response.refused_status (RESPONSE_REFUSED_STATUS in the environment) is "1"` + status + "\n" + `response.no_key_status (RESPONSE_NO_KEY_STATUS in the environment) is "2"` + status + "\n" + `response.failed_status (RESPONSE_FAILED_STATUS in the environment) is "3"` + status},
		"unknown key":       {yaml: "response: {header: legacy}", want: `response.header in config.yaml is not a known key; did you mean response.headers?`},
		"unknown status":    {defaults: map[string]any{"response.refuse_status": 429}, want: `response.refuse_status in the program's defaults is not a known key; did you mean response.refused_status?`},
		"unlike any":        {yaml: "response: {status: 429}", want: `response.status in config.yaml is not a known key; ` + known},
		"no section":        {yaml: "response: legacy", want: `response in config.yaml is not a section; allowed: keys indented below it`},
		"dotted":            {yaml: "response.headers: legacy", want: `response.headers in config.yaml is a key with a dot in it; write a section in its place`},
	})
}

func TestClientDefaults(t *testing.T) {
	inFiles(t, map[string]string{"config.yaml": "client: {key_secret: ''}"})
	for _, yaml := range []string{"", "config.yaml"} {
		c, err := config.Load(config.Sources{YAML: yaml, Environ: env("CLIENT_KEY_SECRET=", "CLIENT_IPV6_PREFIX=")})
		require.NoError(t, err)
		assert.Equal(t, config.Client{IPv6Prefix: 56, ProxyHeader: "X-Forwarded-For"}, c.Client)
		assert.Nil(t, c.Client.KeySecret.Bytes())
	}
}

// Each source sets all that it and the later ones set, so every level shows once.
func TestClientPrecedence(t *testing.T) {
	const secret = "0123456789abcde"
	inFiles(t, map[string]string{"config.yaml": "client: {ipv6_prefix: 48, key_secret: " + secret + "2}", ".env": "CLIENT_KEY_SECRET=" + secret + "3"})
	sources := config.Sources{Environ: env(), Defaults: map[string]any{"client.ipv6_prefix": 40, "client.key_secret": secret + "1"}}
	requireClient := func(prefix int, secret string) {
		t.Helper()
		c, err := config.Load(sources)
		require.NoError(t, err)
		assert.Equal(t, prefix, c.Client.IPv6Prefix)
		assert.Equal(t, secret, string(c.Client.KeySecret.Bytes()))
	}
	requireClient(40, secret+"1")
	sources.YAML = "config.yaml"
	requireClient(48, secret+"2")
	sources.DotEnv = ".env"
	requireClient(48, secret+"3")
	sources.Environ = env("CLIENT_KEY_SECRET="+secret+"4", "CLIENT_IPV6_PREFIX=64")
	requireClient(64, secret+"4")
	sources.Environ = env("CLIENT_IPV6_PREFIX=32")
	requireClient(32, secret+"3")
}

func TestClientRefuses(t *testing.T) {
	const (
		bits   = "; allowed: 32 to 64"
		inEnv  = "client.key_secret (CLIENT_KEY_SECRET in the environment), not shown as it is a secret: "
		inYAML = "client.key_secret (config.yaml), not shown as it is a secret: "
		rule   = "; allowed: a text of 16 bytes or more"
		s3cret = "s3cret-s3cret--"
	)
	tests := map[string]wrong{
		"prefix low":      {env: []string{"CLIENT_IPV6_PREFIX=31"}, want: `client.ipv6_prefix (CLIENT_IPV6_PREFIX in the environment) is "31"` + bits},
		"prefix high":     {yaml: "client: {ipv6_prefix: 65}", want: `client.ipv6_prefix (config.yaml) is 65` + bits},
		"prefix zero":     {defaults: map[string]any{"client.ipv6_prefix": 0}, want: `client.ipv6_prefix (the program's defaults) is 0` + bits},
		"prefix slash":    {env: []string{"CLIENT_IPV6_PREFIX=/56"}, want: `client.ipv6_prefix (CLIENT_IPV6_PREFIX in the environment) is "/56": a whole number is needed` + bits},
		"prefix octal":    {yaml: "client: {ipv6_prefix: 070}", want: "config.yaml: line 1 has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"},
		"secret short":    {env: []string{"CLIENT_KEY_SECRET=" + s3cret}, want: inEnv + "it has a length of 15" + rule},
		"secret 1":        {yaml: "client: {key_secret: 's'}", want: inYAML + "it has a length of 1" + rule},
		"secret in .env":  {dotEnv: "CLIENT_KEY_SECRET=s3cret", want: "client.key_secret (CLIENT_KEY_SECRET in test.env), not shown as it is a secret: it has a length of 6" + rule},
		"secret number":   {yaml: "client: {key_secret: 81723987123987123}", want: inYAML + "a text is needed" + rule},
		"secret null":     {yaml: "client: {key_secret: }", want: inYAML + "a text is needed" + rule},
		"secret list":     {yaml: "client: {key_secret: [s3cret]}", want: inYAML + "a text is needed" + rule},
		"secret section":  {yaml: "client: {key_secret: {s3cret: s3cret}}", want: inYAML + "a text is needed" + rule},
		"secret default":  {defaults: map[string]any{"client.key_secret": []byte(s3cret)}, want: `client.key_secret (the program's defaults) is a []uint8; allowed: a string, an integer, a bool or, for a duration, a time.Duration`},
		"unknown key":     {yaml: "client: {key_secrets: " + s3cret + "}", want: `client.key_secrets in config.yaml is not a known key; did you mean client.key_secret?`},
		"unlike any":      {yaml: "client: {secret: " + s3cret + "}", want: `client.secret in config.yaml is not a known key; ` + known},
		"no section":      {yaml: "client: " + s3cret, want: `client in config.yaml is not a section; allowed: keys indented below it`},
		"near in .env":    {dotEnv: "CLIENT_KEY_SECRETS=" + s3cret, want: `CLIENT_KEY_SECRETS in test.env is not a known variable; did you mean CLIENT_KEY_SECRET?`},
		"case in .env":    {dotEnv: "client_ipv6_prefix=56", want: `client_ipv6_prefix in test.env is not a known variable; did you mean CLIENT_IPV6_PREFIX?`},
		"near 2 in .env":  {dotEnv: "RESPONS_HEADER=legacy", want: `RESPONS_HEADER in test.env is not a known variable; did you mean RESPONSE_HEADERS?`},
		"near all in env": {dotEnv: "RESPONSE_FAIL_STATUS=1\nRESPONSE_NOKEY_STATUS=1\nRESPONSE_REFUSE_STATUS=1", want: "RESPONSE_FAIL_STATUS in test.env is not a known variable; did you mean RESPONSE_FAILED_STATUS?\nRESPONSE_NOKEY_STATUS in test.env is not a known variable; did you mean RESPONSE_NO_KEY_STATUS?\nRESPONSE_REFUSE_STATUS in test.env is not a known variable; did you mean RESPONSE_REFUSED_STATUS?"},
	}
	for name, test := range tests {
		assert.NotContains(t, test.want, "s3cret", name)
	}
	requireRefused(t, tests)
}

// Names that begin with RESPONSE_ and CLIENT_ belong to others as well.
func TestLoadLeavesOthersResponsesAndClientsAlone(t *testing.T) {
	others := []string{"CLIENT_ID=1", "CLIENT_SECRET=x", "CLIENT_KEY=x", "CLIENT_PREFIX=1", "CLIENT_=1", "CLIENT_IPV4_PREFIX=24", "RESPONSE_STATUS=200", "RESPONSE_TIMEOUT=1s", "RESPONSE_HEADERS_MAX=1"}
	inFiles(t, map[string]string{".env": strings.Join(others, "\n")})
	c, err := config.Load(config.Sources{DotEnv: ".env", Environ: env(others...)})
	require.NoError(t, err)
	assert.Equal(t, "draft-11", c.Response.Headers)
	assert.Nil(t, c.Client.KeySecret.Bytes())
}

func TestClientTrustedProxies(t *testing.T) {
	inFiles(t, map[string]string{"config.yaml": "client: {trusted_proxies: [10.0.0.0/8, '2001:db8::/32', 192.0.2.1], proxy_header: cf-connecting-ip}"})
	c, err := config.Load(config.Sources{YAML: "config.yaml", Environ: env()})
	require.NoError(t, err)
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	assert.Equal(t, prefixes("10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"), c.Client.TrustedProxies)
	assert.Equal(t, "Cf-Connecting-Ip", c.Client.ProxyHeader)

	c, err = config.Load(config.Sources{Environ: env("CLIENT_TRUSTED_PROXIES=127.0.0.0/8 ,::1")})
	require.NoError(t, err)
	assert.Equal(t, prefixes("127.0.0.0/8", "::1/128"), c.Client.TrustedProxies)
	assert.Equal(t, "X-Forwarded-For", c.Client.ProxyHeader)

	c, err = config.Load(config.Sources{Environ: env("CLIENT_TRUSTED_PROXIES=0.0.0.0/0,::/0", "CLIENT_PROXY_HEADER=Fly-Client-IP")})
	require.NoError(t, err, "where nobody else can connect, one address in a header is the edge's")
	assert.Equal(t, prefixes("0.0.0.0/0", "::/0"), c.Client.TrustedProxies)
}

func TestClientTrustedProxiesRefuses(t *testing.T) {
	const (
		inEnv  = "client.trusted_proxies (CLIENT_TRUSTED_PROXIES in the environment) is "
		header = "client.proxy_header (CLIENT_PROXY_HEADER in the environment) "
		rule   = "; allowed: addresses and ranges of addresses, such as 10.0.0.0/8 and 2001:db8::/32, separated by commas"
		names  = "; allowed: X-Forwarded-For, or a header that holds one address, such as X-Real-IP or CF-Connecting-IP"
		some   = "CLIENT_TRUSTED_PROXIES=10.0.0.0/8"
	)
	tests := map[string]wrong{
		"beyond":       {env: []string{"CLIENT_TRUSTED_PROXIES=10.1.2.3/8"}, want: inEnv + `"10.1.2.3/8": "10.1.2.3/8" has bits beyond its length; write 10.0.0.0/8` + rule},
		"everybody":    {env: []string{"CLIENT_TRUSTED_PROXIES=::/0"}, want: inEnv + `"::/0": "::/0" is every address, and a trusted proxy may write any address into X-Forwarded-For; allowed: the addresses of your proxies only`},
		"number":       {yaml: "client: {trusted_proxies: 1}", want: "client.trusted_proxies (config.yaml) is 1: a text or a list is needed" + rule},
		"list":         {yaml: "client: {trusted_proxies: [10.0.0.0/8, 1, x]}", want: "client.trusted_proxies (config.yaml) is a list: 1 is no range of addresses" + rule + "\nclient.trusted_proxies (config.yaml) is a list: \"x\" is no range of addresses; " + above},
		"header alone": {env: []string{"CLIENT_PROXY_HEADER=X-Real-IP"}, want: header + "needs client.trusted_proxies (CLIENT_TRUSTED_PROXIES) as well: otherwise no header is believed"},
		"header":       {env: []string{some, "CLIENT_PROXY_HEADER=X Real IP"}, want: header + `is "X Real IP": no header can have this name` + names},
		"Forwarded":    {env: []string{some, "CLIENT_PROXY_HEADER=forwarded"}, want: header + `is "forwarded": its value is no address` + names},
	}
	for _, text := range []string{"10.0.0.0/33", "private", "10.0.0.0/8;10.0.0.1", "10.0.0.0/8,", "fe80::1%eth0", "::ffff:10.0.0.0/104", "10.0.0.0-10.0.0.9"} {
		item := text[strings.LastIndexByte(text, ',')+1:]
		tests[text] = wrong{env: []string{"CLIENT_TRUSTED_PROXIES=" + text}, want: inEnv + fmt.Sprintf("%q: %q is no range of addresses", text, item) + rule}
	}
	requireRefused(t, tests)
}
