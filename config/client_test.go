package config_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
)

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

func TestSecretBytesIsACopy(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{Environ: env("CLIENT_KEY_SECRET=0123456789abcdef")})
	require.NoError(t, err)
	clear(c.Client.KeySecret.Bytes())
	assert.Equal(t, "0123456789abcdef", string(c.Client.KeySecret.Bytes()))
	assert.Nil(t, config.Secret{}.Bytes())
}

// Whatever prints a Config, the secret stays out.
func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	const marker = "s3cret-marker-s3cret"
	c, err := config.Load(config.Sources{Environ: env("CLIENT_KEY_SECRET=" + marker)})
	require.NoError(t, err)
	secret := c.Client.KeySecret
	require.Equal(t, marker, string(secret.Bytes()))
	type unexported struct {
		c config.Config
		p *config.Config
		s config.Secret
	}
	type embedded struct{ config.Secret }
	var out bytes.Buffer
	text, jsonLogger := slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))
	for _, value := range []any{c, *c, c.Client, &c.Client, secret, &secret, []any{secret}, map[string]config.Secret{"s": secret}, embedded{secret}, unexported{*c, c, secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%T", "%p", "%t", "%08v", "% x"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		fmt.Fprintln(&out, value, fmt.Errorf("wrapped: %v", value))
		text.Info("text", "value", value)
		jsonLogger.Info("json", "value", value)
		asJSON, err := json.Marshal(value)
		require.NoError(t, err)
		asYAML, err := yaml.Parser().Marshal(map[string]any{"value": value})
		require.NoError(t, err)
		out.Write(asJSON)
		out.Write(asYAML)
		// These refuse some of the types, and show nothing then.
		_ = gob.NewEncoder(&out).Encode(value)
		_ = xml.NewEncoder(&out).Encode(value)
	}
	raw := []byte(marker)
	for _, form := range []string{
		marker, "s3cret", hex.EncodeToString(raw), fmt.Sprintf("%X", marker), fmt.Sprintf("% x", marker),
		strings.Trim(fmt.Sprintf("%d", raw), "[]"), base64.StdEncoding.EncodeToString(raw),
	} {
		assert.NotContains(t, out.String(), form)
	}
	assert.Equal(t, "xxxxx", secret.String())
	assert.Equal(t, `"xxxxx"`, fmt.Sprintf("%#v", secret))
	asJSON, err := json.Marshal(c.Client)
	require.NoError(t, err)
	assert.JSONEq(t, `{"IPv6Prefix": 56, "KeySecret": "xxxxx", "TrustedProxies": null, "ProxyHeader": "X-Forwarded-For"}`, string(asJSON))
	assert.Equal(t, "xxxxx", secret.LogValue().String())
	assert.Empty(t, config.Secret{}.String())
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
		"everybody":    {env: []string{"CLIENT_TRUSTED_PROXIES=::/0"}, want: inEnv + `"::/0": "::/0" is everybody, and who is trusted may write any address into X-Forwarded-For; allowed: the addresses of your proxies only`},
		"number":       {yaml: "client: {trusted_proxies: 1}", want: "client.trusted_proxies (config.yaml) is 1: a text or a list is needed" + rule},
		"list":         {yaml: "client: {trusted_proxies: [10.0.0.0/8, 1, x]}", want: "client.trusted_proxies (config.yaml) is a list: 1 is no range of addresses" + rule + "\nclient.trusted_proxies (config.yaml) is a list: \"x\" is no range of addresses; " + above},
		"header alone": {env: []string{"CLIENT_PROXY_HEADER=X-Real-IP"}, want: header + "needs client.trusted_proxies (CLIENT_TRUSTED_PROXIES) as well: nobody's header is believed else"},
		"header":       {env: []string{some, "CLIENT_PROXY_HEADER=X Real IP"}, want: header + `is "X Real IP": no header can have this name` + names},
		"Forwarded":    {env: []string{some, "CLIENT_PROXY_HEADER=forwarded"}, want: header + `is "forwarded": its value is no address` + names},
	}
	for _, text := range []string{"10.0.0.0/33", "private", "10.0.0.0/8;10.0.0.1", "10.0.0.0/8,", "fe80::1%eth0", "::ffff:10.0.0.0/104", "10.0.0.0-10.0.0.9"} {
		item := text[strings.LastIndexByte(text, ',')+1:]
		tests[text] = wrong{env: []string{"CLIENT_TRUSTED_PROXIES=" + text}, want: inEnv + fmt.Sprintf("%q: %q is no range of addresses", text, item) + rule}
	}
	requireRefused(t, tests)
}
