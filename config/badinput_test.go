package config_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestBadInput has what people write by mistake and a parser may take for something else: other
// notations of numbers and durations, other spellings of names, what is there twice, empty
// or between white space. TestLoadRefuses and the tests of URLs, limits, responses and
// clients have the values that are out of range.
func TestBadInput(t *testing.T) {
	const (
		notation = "has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"
		keys     = "has a key that YAML takes for a number, a truth value or nothing; allowed: a name, in quotes if need be"
		port     = "a whole number is needed; allowed: 1 to 65535"
		timeout  = "; allowed: 1ms or more, such as 250ms"
		prefix   = "allowed: 1 to 64 printable ASCII characters other than the space, { and }"
		units    = "allowed: 0 to 999999999999999 units"
		name     = "allowed: 1 to 64 lower-case letters, digits and underscores, not beginning with an underscore"
		host     = "allowed: a host name or an IP address"
		formats  = "allowed: draft-6, legacy and one of draft-7 and draft-11 (or draft-8, draft-9, draft-10, which mean the same), separated by commas; or none alone"
	)
	rows := []wrong{
		{yaml: `port: 1e3`, want: `port (config.yaml) is 1000.0: ` + port},
		{yaml: `port: 0x10`, want: `config.yaml: line 1 ` + notation},
		{yaml: `port: .nan`, want: `port (config.yaml) is NaN: ` + port},
		{yaml: `port: -0`, want: `config.yaml: line 1 ` + notation},
		{yaml: `port: -0.0`, want: `port (config.yaml) is -0.0: ` + port},
		{yaml: `port: .inf`, want: `port (config.yaml) is +Inf: ` + port},
		{yaml: `port: 8_0`, want: `config.yaml: line 1 ` + notation},
		{yaml: `port: '0x50'`, want: `port (config.yaml) is "0x50": ` + port},
		{yaml: `port: 8e1`, want: `port (config.yaml) is 80.0: ` + port},
		{yaml: `PORT: 80`, want: `PORT in config.yaml is not a known key; ` + known},
		{yaml: `Port: 80`, want: `Port in config.yaml is not a known key; did you mean port?`},
		{yaml: "port: 80\nport : 81", want: `config.yaml is not valid YAML: unmarshal errors: line 2: mapping key (not shown) already defined at line 1`},
		{yaml: "port: 80\n\"port\": 81", want: `config.yaml is not valid YAML: unmarshal errors: line 2: mapping key (not shown) already defined at line 1`},
		{yaml: `port: 0b11`, want: `config.yaml: line 1 ` + notation},
		{yaml: `port: 1:20`, want: `port (config.yaml) is "1:20": ` + port},
		{yaml: `port: !!float 80`, want: `port (config.yaml) is 80.0: ` + port},
		{yaml: "port: 80\n...\nport: 81", want: `config.yaml: line 2 begins a second YAML document; allowed: one`},
		{yaml: "port: 80\n... x", want: `config.yaml: line 2 begins a second YAML document; allowed: one`},
		{yaml: `port:80`, want: `config.yaml is not valid YAML: unmarshal errors: line 1: cannot unmarshal !!str (not shown) into map[string]interface {}`},
		{yaml: `port=80`, want: `config.yaml is not valid YAML: unmarshal errors: line 1: cannot unmarshal !!str (not shown) into map[string]interface {}`},
		{yaml: "port: \xff", want: `config.yaml is not valid YAML: invalid leading UTF-8 octet`},
		{yaml: "port: 80\x00", want: `config.yaml is not valid YAML: control characters are not allowed`},
		{yaml: ` port: 80`, want: `"\u00a0port" in config.yaml is not a known key; did you mean port?`},
		{yaml: `	port: 80`, want: `config.yaml is not valid YAML: found character that cannot start any token`},
		{yaml: `1: 2`, want: `1 in config.yaml is not a known key; ` + known},
		{yaml: `~: x`, want: `config.yaml: line 1 ` + keys},
		{yaml: "? [a]\n: b", want: `config.yaml is not valid YAML: unmarshal errors: line 1: cannot unmarshal !!seq into string`},
		{yaml: `0x10: x`, want: `config.yaml: line 1 ` + keys},
		{yaml: `redis: {timeout: 1e3}`, want: `redis.timeout (config.yaml) is 1000.0: a duration needs a unit` + timeout},
		{yaml: `redis: {timeout: .inf}`, want: `redis.timeout (config.yaml) is +Inf: a duration needs a unit` + timeout},
		{yaml: `redis: {timeout: ''}`, want: `redis.timeout (config.yaml) is "": it is not a duration` + timeout},
		{yaml: `redis: {timeout: 1d}`, want: `redis.timeout (config.yaml) is "1d": it is not a duration` + timeout},
		{yaml: `redis: {timeout: '-5m'}`, want: `redis.timeout (config.yaml) is "-5m"` + timeout},
		{yaml: `redis: {timeout: 3000000h}`, want: `redis.timeout (config.yaml) is "3000000h": it is longer than 290 years` + timeout},
		{yaml: `redis: {timeout: '1 s'}`, want: `redis.timeout (config.yaml) is "1 s": it is not a duration` + timeout},
		{yaml: `redis: {timeout: 1S}`, want: `redis.timeout (config.yaml) is "1S": it is not a duration` + timeout},
		{yaml: `redis: {timeout: -0s}`, want: `redis.timeout (config.yaml) is "-0s"` + timeout},
		{yaml: `redis: {timeout: ∞}`, want: `redis.timeout (config.yaml) is "\u221e": it is not a duration` + timeout},
		{yaml: `redis: {timeout: 10:00}`, want: `redis.timeout (config.yaml) is "10:00": it is not a duration` + timeout},
		{yaml: `redis: {prefix: ~}`, want: `redis.prefix (config.yaml) is null: a text is needed; ` + prefix},
		{yaml: `redis: {prefix: 2024-01-01}`, want: `redis.prefix (config.yaml) is 2024-01-01 00:00:00 +0000 UTC: a text is needed; ` + prefix},
		{yaml: `redis: ''`, want: `redis in config.yaml is not a section; allowed: keys indented below it`},
		{yaml: `redis: []`, want: `redis in config.yaml is not a section; allowed: keys indented below it`},
		{yaml: "redis:\n  timeout: 1s\nredis:\n  prefix: x", want: `config.yaml is not valid YAML: unmarshal errors: line 3: mapping key (not shown) already defined at line 1`},
		{yaml: `host: ' '`, want: `host (config.yaml) is " "; ` + host},
		{yaml: `host: a b`, want: `host (config.yaml) is "a b"; ` + host},
		{yaml: `host: localhost:80`, want: `host (config.yaml) is "localhost:80"; ` + host},
		{yaml: `host: null`, want: `host (config.yaml) is null: a text is needed; ` + host},
		{yaml: `host: true`, want: `host (config.yaml) is true: a text is needed; ` + host},
		{yaml: `host: 2024-01-01`, want: `host (config.yaml) is 2024-01-01 00:00:00 +0000 UTC: a text is needed; ` + host},
		{yaml: `limits: {~: {max: 1, window: 1s}}`, want: `config.yaml: line 1 ` + keys},
		{yaml: `limits: {1.0: {max: 1, window: 1s}}`, want: `config.yaml: line 1 ` + keys},
		{yaml: `limits: {010: {max: 1, window: 1s}}`, want: `config.yaml: line 1 ` + keys},
		{yaml: `limits: {True: {max: 1, window: 1s}}`, want: `config.yaml: line 1 ` + keys},
		{yaml: `limits: {'': {max: 1, window: 1s}}`, want: `limits. in config.yaml has a name that is not allowed for a limit; ` + name},
		{yaml: `limits: {"a\nb": {max: 1, window: 1s}}`, want: `"limits.a\nb" in config.yaml has a name that is not allowed for a limit; ` + name},
		{yaml: `limits: {api: {max: 1, window: 1s}, api: {max: 2, window: 1s}}`, want: `config.yaml is not valid YAML: unmarshal errors: line 1: mapping key (not shown) already defined at line 1`},
		{yaml: `limits: {api: {max: 1_000, window: 1s}}`, want: `config.yaml: line 1 ` + notation},
		{yaml: `limits: {api: {max: '1_000', window: 1s}}`, want: `limits.api.max (config.yaml) is "1_000": a whole number is needed; ` + units},
		{yaml: `limits: {api: {max: 1,000, window: 1s}}`, want: `config.yaml: line 1 ` + keys},
		{yaml: `limits: {api: {max: 0x10, window: 1s}}`, want: `config.yaml: line 1 ` + notation},
		{yaml: `limits: {api: {max: 1e3, window: 1s}}`, want: `limits.api.max (config.yaml) is 1000.0: a whole number is needed; ` + units},
		{yaml: `limits: {api: {max: .5, window: 1s}}`, want: `limits.api.max (config.yaml) is 0.5: a whole number is needed; ` + units},
		{yaml: `limits: {api: {max: -0, window: 1s}}`, want: `config.yaml: line 1 ` + notation},
		{yaml: `limits: {api: {max: !!int '010', window: 1s}}`, want: `config.yaml: line 1 ` + notation},
		{yaml: `limits: {api: {max: !!str 010, window: 1s}}`, want: `limits.api.max (config.yaml) is "010": write it without a plus sign or leading zeros, as 10; ` + units},
		{yaml: `limits: {api: {max: &x 010, window: 1s}}`, want: `config.yaml: line 1 ` + notation},
		{yaml: "limits:\n  api:\n    max:\n      010\n    window: 1s", want: `config.yaml: line 4 ` + notation},
		{yaml: `limits: {api: {"max" : 010, window: 1s}}`, want: `config.yaml: line 1 ` + notation},
		{yaml: `response: {refused_status: 429.0}`, want: `response.refused_status (config.yaml) is 429.0: a whole number is needed; allowed: 400 to 599`},
		{yaml: `response: {refused_status: 0x1AD}`, want: `config.yaml: line 1 ` + notation},
		{yaml: `response: {headers: ''}`, want: `response.headers (config.yaml) is "": format 1 is empty; ` + formats},
		{yaml: `response: {headers: []}`, want: `response.headers (config.yaml) is a list: it is empty; ` + formats},
		{yaml: `response: {headers: draft-12}`, want: `response.headers (config.yaml) is "draft-12": "draft-12" is not a format; ` + formats},
		{yaml: `client: {ipv6_prefix: 56.5}`, want: `client.ipv6_prefix (config.yaml) is 56.5: a whole number is needed; allowed: 32 to 64`},
		{yaml: `client: {ipv6_prefix: '056'}`, want: `client.ipv6_prefix (config.yaml) is "056": write it without a plus sign or leading zeros, as 56; allowed: 32 to 64`},
		{dotEnv: "PORT=80\nPORT=81", want: `test.env: line 2 sets PORT once more; allowed: once`},
		{dotEnv: "PORT=80\nHOST=h\nexport PORT: 80", want: `test.env: line 3 sets PORT once more; allowed: once`},
		{dotEnv: `PORT=80#c`, want: `port (PORT in test.env) is "80#c": ` + port},
		{dotEnv: `PORT="80`, want: `test.env: line 1 is not of the form NAME=value`},
		{dotEnv: `PORT='80'x`, want: `test.env: line 1 is not of the form NAME=value`},
		{dotEnv: `EXPORT PORT=80`, want: `test.env: line 1 is not of the form NAME=value`},
		{dotEnv: `port=80`, want: `port in test.env is not a known variable; did you mean PORT?`},
		{dotEnv: `Port=80`, want: `Port in test.env is not a known variable; did you mean PORT?`},
		{dotEnv: `redis_url=redis://h`, want: `redis_url in test.env is not a known variable; did you mean REDIS_URL?`},
		{dotEnv: `REDIS.URL=x`, want: `REDIS.URL in test.env is not a known variable; did you mean REDIS_URL?`},
		{dotEnv: `REDIS-URL=x`, want: `REDIS-URL in test.env is not a known variable; did you mean REDIS_URL?`},
		{dotEnv: `limits_api_max=1`, want: `limits_api_max in test.env is not a known variable; did you mean LIMITS_API_MAX?`},
		{dotEnv: "limits_cpu=2\nresponse_headers=legacy", want: `response_headers in test.env is not a known variable; did you mean RESPONSE_HEADERS?`},
		{dotEnv: `PORT=' '`, want: `port (PORT in test.env) is " ": ` + port},
		{dotEnv: `PORT==80`, want: `port (PORT in test.env) is "=80": ` + port},
		{dotEnv: `=80`, want: `test.env: line 1 is not of the form NAME=value`},
		{dotEnv: "PORT=80\x00", want: `port (PORT in test.env) is "80\x00": ` + port},
		{dotEnv: `RESPONSE_HEADER=legacy`, want: `RESPONSE_HEADER in test.env is not a known variable; did you mean RESPONSE_HEADERS?`},
		{dotEnv: `CLIENT_IPV6_PREFX=48`, want: `CLIENT_IPV6_PREFX in test.env is not a known variable; did you mean CLIENT_IPV6_PREFIX?`},
		{dotEnv: "LIMITS_API_MAX=1\nLIMITS_API_WINDOW=1s\nLIMITS_API_MAX=2", want: `test.env: line 3 sets LIMITS_API_MAX once more; allowed: once`},
		{env: []string{`PORT=NaN`}, want: `port (PORT in the environment) is "NaN": ` + port},
		{env: []string{`PORT=-0`}, want: `port (PORT in the environment) is "-0": write it without a plus sign or leading zeros, as 0; allowed: 1 to 65535`},
		{env: []string{`PORT=00`}, want: `port (PORT in the environment) is "00": write it without a plus sign or leading zeros, as 0; allowed: 1 to 65535`},
		{env: []string{`PORT=１２`}, want: `port (PORT in the environment) is "\uff11\uff12": ` + port},
		{env: []string{"PORT=80\n"}, want: `port (PORT in the environment) is "80\n": ` + port},
		{env: []string{"PORT=\ufeff80"}, want: `port (PORT in the environment) is "\ufeff80": ` + port},
		{env: []string{`PORT=8,080`}, want: `port (PORT in the environment) is "8,080": ` + port},
		{env: []string{`PORT=1_000`}, want: `port (PORT in the environment) is "1_000": ` + port},
		{env: []string{`PORT=0x50`}, want: `port (PORT in the environment) is "0x50": ` + port},
		{env: []string{`PORT=-99999999999999999999`}, want: `port (PORT in the environment) is "-99999999999999999999"; allowed: 1 to 65535`},
		{env: []string{`REDIS_TIMEOUT=NaN`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "NaN": a duration needs a unit` + timeout},
		{env: []string{`REDIS_TIMEOUT=infs`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "infs": it is not a duration` + timeout},
		{env: []string{`REDIS_TIMEOUT=99999999999h`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "99999999999h": it is longer than 290 years` + timeout},
		{env: []string{`REDIS_TIMEOUT=0.0001ms`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "0.0001ms"` + timeout},
		{env: []string{`REDIS_TIMEOUT=PT1S`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "PT1S": it is not a duration` + timeout},
		{env: []string{`REDIS_TIMEOUT=1w`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "1w": it is not a duration` + timeout},
		{env: []string{`REDIS_TIMEOUT= 1s`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is " 1s": it is not a duration` + timeout},
		{env: []string{`REDIS_TIMEOUT=1e3s`}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "1e3s": it is not a duration` + timeout},
		{env: []string{"REDIS_PREFIX=a\nb"}, want: `redis.prefix (REDIS_PREFIX in the environment) is "a\nb": it has a line break, a tab or another control character in it; ` + prefix},
		{env: []string{`REDIS_PREFIX= `}, want: `redis.prefix (REDIS_PREFIX in the environment) is " ": it begins or ends with a space or a line break; ` + prefix},
		{env: []string{"HOST=a\nb"}, want: `host (HOST in the environment) is "a\nb"; ` + host},
		{env: []string{`HOST=é`}, want: `host (HOST in the environment) is "\u00e9"; ` + host},
		{env: []string{`Limits_api_max=1`}, want: `Limits_api_max in the environment is not a known variable; did you mean LIMITS_API_MAX?`},
		{env: []string{`LIMITS__MAX=1`}, want: `LIMITS__MAX in the environment ` + variables},
		{env: []string{`LIMITS_A B_MAX=1`}, want: `"LIMITS_A B_MAX" in the environment ` + variables},
		{env: []string{"LIMITS_A\nB_MAX=1"}, want: `"LIMITS_A\nB_MAX" in the environment ` + variables},
		{env: []string{`RESPONSE_HEADERS=legacy;none`}, want: `response.headers (RESPONSE_HEADERS in the environment) is "legacy;none": "legacy;none" is not a format; ` + formats},
		{env: []string{`RESPONSE_HEADERS=LEGACY`}, want: `response.headers (RESPONSE_HEADERS in the environment) is "LEGACY": "LEGACY" is not a format; ` + formats},
		{env: []string{`RESPONSE_HEADERS=none,legacy`}, want: `response.headers (RESPONSE_HEADERS in the environment) is "none,legacy": none does not go with another format; ` + formats},
		{env: []string{`RESPONSE_REFUSED_STATUS=4e2`}, want: `response.refused_status (RESPONSE_REFUSED_STATUS in the environment) is "4e2": a whole number is needed; allowed: 400 to 599`},
		{env: []string{`RESPONSE_REFUSED_STATUS=0429`}, want: `response.refused_status (RESPONSE_REFUSED_STATUS in the environment) is "0429": write it without a plus sign or leading zeros, as 429; allowed: 400 to 599`},
		{defaults: map[string]any{`port`: math.NaN()}, want: `port (the program's defaults) is NaN: ` + port},
		{defaults: map[string]any{`port`: math.Inf(-1)}, want: `port (the program's defaults) is -Inf: ` + port},
		{defaults: map[string]any{`port`: float32(80)}, want: `port (the program's defaults) is 80.0: ` + port},
		{defaults: map[string]any{`port`: uint64(math.MaxUint64)}, want: `port (the program's defaults) is 18446744073709551615; allowed: 1 to 65535`},
		{defaults: map[string]any{`port`: " 80"}, want: `port (the program's defaults) is " 80": ` + port},
		{defaults: map[string]any{`port`: ""}, want: `port (the program's defaults) is "": ` + port},
		{defaults: map[string]any{`port`: true}, want: `port (the program's defaults) is true: ` + port},
		{defaults: map[string]any{`port`: []int{80}}, want: `port (the program's defaults) is a []int; allowed: a string, an integer, a bool or, for a duration, a time.Duration`},
		{defaults: map[string]any{`PORT`: 1}, want: `PORT in the program's defaults is not a known key; ` + known},
		{defaults: map[string]any{``: 1}, want: `"" in the program's defaults is not a known key; ` + known},
		{defaults: map[string]any{` port`: 1}, want: `" port" in the program's defaults is not a known key; did you mean port?`},
		{defaults: map[string]any{"port\n": 1}, want: `"port\n" in the program's defaults is not a known key; did you mean port?`},
		{defaults: map[string]any{`limits.api`: 1}, want: `limits.api in the program's defaults is not a known key; ` + known},
		{defaults: map[string]any{`limits..max`: 1}, want: `limits..max in the program's defaults is not a known key; ` + known},
		{defaults: map[string]any{`limits.api.max.x`: 1}, want: `limits.api.max.x in the program's defaults is not a known key; ` + known},
		{defaults: map[string]any{`redis`: 1}, want: `redis in the program's defaults is not a known key; ` + known},
	}
	tests := map[string]wrong{}
	for _, row := range rows {
		tests[fmt.Sprintf("%q %q %q %#v", row.yaml, row.dotEnv, row.env, row.defaults)] = row
	}
	assert.Len(t, tests, len(rows), "no row is there twice")
	assert.GreaterOrEqual(t, len(rows), 140)
	requireRefused(t, tests)
}
