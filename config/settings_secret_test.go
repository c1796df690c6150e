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
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
)

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
