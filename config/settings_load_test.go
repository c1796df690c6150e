package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// known ends the error for a key that resembles none.
const known = "allowed: host, port, redis.url, redis.username, redis.password, redis.prefix, redis.timeout, redis.connection_lifetime, redis.on_failure, redis.instances, redis.batch_size, redis.batches_in_flight, redis.lease, redis.client_cache, redis.skip_verify, " +
	"redis.ca_file, redis.cert_file, redis.key_file, redis.sentinel_username, redis.sentinel_password, redis.sentinel_tls, response.headers, response.refused_status, response.no_key_status, response.failed_status, " +
	"client.ipv6_prefix, client.key_secret, client.trusted_proxies, client.proxy_header, limits.<name>.max, limits.<name>.window, limits.<name>.resolution, limits.<name>.by and limits.<name>.mode"

// variables ends the error for a variable that is one of a limit but for its name.
const variables = "is not a known variable; allowed: LIMITS_<NAME>_MAX, LIMITS_<NAME>_WINDOW, LIMITS_<NAME>_RESOLUTION, LIMITS_<NAME>_BY and LIMITS_<NAME>_MODE, with a name of capital letters, digits and underscores"

// above stands for a list that an earlier line of the error has.
const above = "allowed: what is listed above"

const required = "REDIS_URL is required: set it to redis://localhost:6379, or memory:// to limit within this process only"

// env is an environment with a valid REDIS_URL.
func env(variables ...string) []string {
	return append([]string{"REDIS_URL=memory://"}, variables...)
}

// limit is a limit without by and mode.
func limit(name string, units int64, window time.Duration) config.Limit {
	return config.Limit{Limit: slidingwindow.Limit{Name: name, Max: units, Window: window}}
}

// inFiles writes the files, runs load where they are, so that their names need no
// directory, and is not for parallel tests.
func inFiles(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(".", name), []byte(content), 0o600))
	}
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{Environ: env()})
	require.NoError(t, err)
	assert.Equal(t, 8080, c.Port)
	assert.Equal(t, "rl", c.Redis.Prefix)
	assert.Equal(t, 250*time.Millisecond, c.Redis.Timeout)
	assert.Equal(t, time.Minute, c.Redis.ConnectionLifetime)
	assert.True(t, c.Redis.InMemory())
	assert.Nil(t, c.Redis.Logger)
	assert.NotNil(t, c.Limits)
	assert.Empty(t, c.Limits)
	assert.Equal(t, slidingwindow.RedisConfig{Prefix: "rl", Timeout: 250 * time.Millisecond, ConnectionLifetime: time.Minute}, c.Redis.StoreConfig())
}

func TestLoadReadsTheProcessEnvironment(t *testing.T) {
	t.Setenv("REDIS_URL", "memory://")
	t.Setenv("LIMITS_API_MAX", "7")
	t.Setenv("LIMITS_API_WINDOW", "1s")
	c, err := config.Load(config.Sources{})
	require.NoError(t, err)
	assert.Equal(t, limit("api", 7, time.Second), c.Limits["api"])
}

// Each source sets all that it and the later ones set, so every level shows once.
func TestLoadPrecedence(t *testing.T) {
	inFiles(t, map[string]string{
		"config.yaml": "port: 2\nredis: {prefix: yaml, timeout: 2s}\nlimits: {api: {max: 2, window: 2m}, login: {max: 5, window: 15m}}\n",
		".env":        "REDIS_PREFIX=dotenv\nREDIS_TIMEOUT=\"3s\"\nexport LIMITS_API_MAX=3\n# comment\nOTHER=x\nPORT=\n",
	})
	c, err := config.Load(config.Sources{
		YAML:    "config.yaml",
		DotEnv:  ".env",
		Environ: env("REDIS_TIMEOUT=4s", "REDIS_PORT=tcp://10.0.0.1:6379", "LIMITS_IN_QUEUE_MAX=9", "LIMITS_IN_QUEUE_WINDOW=1h30m", "PORT="),
		Defaults: map[string]any{
			"port": 1, "redis.prefix": "program", "redis.timeout": time.Second, "redis.url": "redis://never",
			"limits.api.max": int64(1), "limits.api.window": "1m", "limits.jobs.max": "8", "limits.jobs.window": time.Hour,
		},
	})
	require.NoError(t, err)
	assert.Equal(t, 2, c.Port, "YAML over the program's defaults; an empty variable is none")
	assert.Equal(t, "dotenv", c.Redis.Prefix, ".env over YAML")
	assert.Equal(t, 4*time.Second, c.Redis.Timeout, "environment over .env")
	assert.True(t, c.Redis.InMemory(), "environment over the program's defaults")
	assert.Equal(t, map[string]config.Limit{
		"api":      limit("api", 3, 2*time.Minute),
		"login":    limit("login", 5, 15*time.Minute),
		"jobs":     limit("jobs", 8, time.Hour),
		"in_queue": limit("in_queue", 9, 90*time.Minute),
	}, c.Limits)
}

func TestLoadTakesEmptySections(t *testing.T) {
	inFiles(t, map[string]string{
		"config.yaml": "---\n# nothing yet\nredis:\n  # url: redis://localhost\nlimits:\n",
		"empty.yaml":  "",
		".env":        "",
	})
	for _, yaml := range []string{"config.yaml", "empty.yaml"} {
		_, err := config.Load(config.Sources{YAML: yaml, DotEnv: ".env", Environ: env()})
		require.NoError(t, err)
	}
}

func TestLoadIgnoresAnOverriddenValue(t *testing.T) {
	inFiles(t, map[string]string{"config.yaml": "port: none\nredis: {url: 'ftp://x'}"})
	c, err := config.Load(config.Sources{YAML: "config.yaml", Environ: env("PORT=1", "PORT=81")})
	require.NoError(t, err)
	assert.Equal(t, 81, c.Port)
}

// wrong is what Load must refuse, and how.
type wrong struct {
	env      []string // in addition to env()
	yaml     string
	dotEnv   string
	defaults map[string]any
	want     string
}

func requireRefused(t *testing.T, tests map[string]wrong) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sources := config.Sources{Environ: env(test.env...), Defaults: test.defaults}
			inFiles(t, map[string]string{"config.yaml": test.yaml, "test.env": test.dotEnv})
			if test.yaml != "" {
				sources.YAML = "config.yaml"
			}
			if test.dotEnv != "" {
				sources.DotEnv = "test.env"
			}
			c, err := config.Load(sources)
			require.EqualError(t, err, test.want)
			require.ErrorIs(t, err, config.ErrInvalid)
			assert.Nil(t, c)
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	const (
		maxRule    = "allowed: 0 to 999999999999999 units"
		windowRule = "allowed: 1ms to 87600h, such as 15m"
		prefixRule = "allowed: 1 to 64 printable ASCII characters other than the space, { and }"
		nameRule   = "allowed: 1 to 64 lower-case letters, digits and underscores, not beginning with an underscore"
		notation   = "has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"
		api        = "LIMITS_API_"
	)
	long := strings.Repeat("a", 65)
	tests := map[string]wrong{
		"port zero":          {env: []string{"PORT=0"}, want: `port (PORT in the environment) is "0"; allowed: 1 to 65535`},
		"port too high":      {env: []string{"PORT=65536"}, want: `port (PORT in the environment) is "65536"; allowed: 1 to 65535`},
		"port negative":      {yaml: "port: -1", want: `port (config.yaml) is -1; allowed: 1 to 65535`},
		"port text":          {env: []string{"PORT=abc"}, want: `port (PORT in the environment) is "abc": a whole number is needed; allowed: 1 to 65535`},
		"port with space":    {env: []string{"PORT= 80"}, want: `port (PORT in the environment) is " 80": a whole number is needed; allowed: 1 to 65535`},
		"port float":         {yaml: "port: 80.0", want: `port (config.yaml) is 80.0: a whole number is needed; allowed: 1 to 65535`},
		"port null":          {yaml: "port:", want: `port (config.yaml) is null: a whole number is needed; allowed: 1 to 65535`},
		"port bool":          {yaml: "port: true", want: `port (config.yaml) is true: a whole number is needed; allowed: 1 to 65535`},
		"port section":       {yaml: "port: {a: 1}", want: `port (config.yaml) is a section: a whole number is needed; allowed: 1 to 65535`},
		"port list":          {yaml: "port: [80]", want: `port (config.yaml) is a list: a whole number is needed; allowed: 1 to 65535`},
		"port duration":      {defaults: map[string]any{"port": time.Second}, want: `port (the program's defaults) is 1s: a whole number is needed; allowed: 1 to 65535`},
		"port is a URL":      {env: []string{"PORT=redis://:pw@h"}, want: `port (PORT in the environment) is "xxxxx@h": a whole number is needed; allowed: 1 to 65535`},
		"port plus":          {env: []string{"PORT=+80"}, want: `port (PORT in the environment) is "+80": write it without a plus sign or leading zeros, as 80; allowed: 1 to 65535`},
		"port zeros":         {dotEnv: "PORT=0080", want: `port (PORT in test.env) is "0080": write it without a plus sign or leading zeros, as 80; allowed: 1 to 65535`},
		"port octal":         {yaml: "redis:\n  prefix: a\nport: 010", want: `config.yaml: line 3 ` + notation},
		"port octal 2":       {yaml: "port: 0o10", want: `config.yaml: line 1 ` + notation},
		"port signed":        {yaml: "port: +80", want: `config.yaml: line 1 ` + notation},
		"max underscore":     {yaml: "# max: 1\nlimits: {api: {window: 1s, \"max\": 1_000}}", want: `config.yaml: line 2 ` + notation},
		"host":               {env: []string{"HOST=http://h"}, want: `host (HOST in the environment) is "http://h"; allowed: a host name or an IP address`},
		"host brackets":      {yaml: "host: '[::1]'", want: `host (config.yaml) is "[::1]"; allowed: a host name or an IP address`},
		"host number":        {yaml: "host: 5", want: `host (config.yaml) is 5: a text is needed; allowed: a host name or an IP address`},
		"port in .env":       {dotEnv: "PORT=x", want: `port (PORT in test.env) is "x": a whole number is needed; allowed: 1 to 65535`},
		"prefix space":       {env: []string{"REDIS_PREFIX=a b"}, want: `redis.prefix (REDIS_PREFIX in the environment) is "a b"; ` + prefixRule},
		"prefix brace":       {env: []string{"REDIS_PREFIX={a}"}, want: `redis.prefix (REDIS_PREFIX in the environment) is "{a}"; ` + prefixRule},
		"prefix empty":       {yaml: `redis: {prefix: ""}`, want: `redis.prefix (config.yaml) is ""; ` + prefixRule},
		"prefix long":        {env: []string{"REDIS_PREFIX=" + long}, want: `redis.prefix (REDIS_PREFIX in the environment) is "` + long[:64] + `..."; ` + prefixRule},
		"prefix not ASCII":   {env: []string{"REDIS_PREFIX=é"}, want: `redis.prefix (REDIS_PREFIX in the environment) is "\u00e9"; ` + prefixRule},
		"prefix number":      {yaml: "redis: {prefix: 5}", want: `redis.prefix (config.yaml) is 5: a text is needed; ` + prefixRule},
		"lifetime zero":      {env: []string{"REDIS_CONNECTION_LIFETIME=0s"}, want: `redis.connection_lifetime (REDIS_CONNECTION_LIFETIME in the environment) is "0s"; allowed: 1s or more, such as 1m`},
		"lifetime small":     {yaml: "redis: {connection_lifetime: 999ms}", want: `redis.connection_lifetime (config.yaml) is "999ms"; allowed: 1s or more, such as 1m`},
		"lifetime no unit":   {yaml: "redis: {connection_lifetime: 60}", want: `redis.connection_lifetime (config.yaml) is 60: a duration needs a unit; allowed: 1s or more, such as 1m`},
		"timeout no unit":    {env: []string{"REDIS_TIMEOUT=250"}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "250": a duration needs a unit; allowed: 1ms or more, such as 250ms`},
		"timeout number":     {yaml: "redis: {timeout: 250}", want: `redis.timeout (config.yaml) is 250: a duration needs a unit; allowed: 1ms or more, such as 250ms`},
		"timeout zero":       {env: []string{"REDIS_TIMEOUT=0s"}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "0s"; allowed: 1ms or more, such as 250ms`},
		"timeout negative":   {env: []string{"REDIS_TIMEOUT=-1s"}, want: `redis.timeout (REDIS_TIMEOUT in the environment) is "-1s"; allowed: 1ms or more, such as 250ms`},
		"timeout small":      {defaults: map[string]any{"redis.timeout": time.Microsecond}, want: `redis.timeout (the program's defaults) is 1µs; allowed: 1ms or more, such as 250ms`},
		"url number":         {env: []string{"REDIS_URL="}, yaml: "redis: {url: 5}", want: `redis.url (config.yaml) is not a text; allowed: a URL such as redis://localhost:6379`},
		"url null":           {env: []string{"REDIS_URL="}, yaml: "redis: {url: }", want: required},
		"url missing":        {env: []string{"REDIS_URL="}, want: required},
		"window no unit":     {env: []string{api + "MAX=1", api + "WINDOW=15"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "15": a duration needs a unit; ` + windowRule},
		"window zero":        {env: []string{api + "MAX=1", api + "WINDOW=0"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "0": a duration needs a unit; ` + windowRule},
		"window number":      {yaml: "limits: {api: {max: 1, window: 900}}", want: `limits.api.window (config.yaml) is 900: a duration needs a unit; ` + windowRule},
		"window float":       {yaml: "limits: {api: {max: 1, window: 1.5}}", want: `limits.api.window (config.yaml) is 1.5: a duration needs a unit; ` + windowRule},
		"window int default": {defaults: map[string]any{"limits.api.max": 1, "limits.api.window": 900}, want: `limits.api.window (the program's defaults) is 900: a duration needs a unit; ` + windowRule},
		"window words":       {env: []string{api + "MAX=1", api + "WINDOW=15 minutes"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "15 minutes": it is not a duration; ` + windowRule},
		"window days":        {env: []string{api + "MAX=1", api + "WINDOW=1d"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "1d": it is not a duration; ` + windowRule},
		"window null":        {yaml: "limits: {api: {max: 1, window: }}", want: `limits.api.window (config.yaml) is null: it is not a duration; ` + windowRule},
		"window short":       {env: []string{api + "MAX=1", api + "WINDOW=1us"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "1us"; ` + windowRule},
		"window long":        {env: []string{api + "MAX=1", api + "WINDOW=87601h"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "87601h"; ` + windowRule},
		"window negative":    {yaml: "limits: {api: {max: 1, window: -15m}}", want: `limits.api.window (config.yaml) is "-15m"; ` + windowRule},
		"window nanoseconds": {env: []string{api + "MAX=1", api + "WINDOW=1000001ns"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "1000001ns"; allowed: whole microseconds, such as 15m`},
		"max float":          {yaml: "limits: {api: {max: 1.5, window: 1s}}", want: `limits.api.max (config.yaml) is 1.5: a whole number is needed; ` + maxRule},
		"max float text":     {env: []string{api + "MAX=1e3", api + "WINDOW=1s"}, want: `limits.api.max (LIMITS_API_MAX in the environment) is "1e3": a whole number is needed; ` + maxRule},
		"max negative":       {env: []string{api + "MAX=-1", api + "WINDOW=1s"}, want: `limits.api.max (LIMITS_API_MAX in the environment) is "-1"; ` + maxRule},
		"max too high":       {yaml: "limits: {api: {max: 1000000000000000, window: 1s}}", want: `limits.api.max (config.yaml) is 1000000000000000; ` + maxRule},
		"max overflow text":  {env: []string{api + "MAX=99999999999999999999", api + "WINDOW=1s"}, want: `limits.api.max (LIMITS_API_MAX in the environment) is "99999999999999999999"; ` + maxRule},
		"max overflow uint":  {yaml: "limits: {api: {max: 18446744073709551615, window: 1s}}", want: `limits.api.max (config.yaml) is 18446744073709551615; ` + maxRule},
		"max text":           {env: []string{api + "MAX=many", api + "WINDOW=1s"}, want: `limits.api.max (LIMITS_API_MAX in the environment) is "many": a whole number is needed; ` + maxRule},
		"max with unit":      {env: []string{api + "MAX=100/s", api + "WINDOW=1s"}, want: `limits.api.max (LIMITS_API_MAX in the environment) is "100/s": a whole number is needed; ` + maxRule},
		"window missing":     {env: []string{api + "MAX=1"}, want: `limits.api.window is not set: limit "api" needs it; set LIMITS_API_WINDOW in the environment, or limits.api.window in the YAML file, to a value such as 15m`},
		"max missing":        {yaml: "limits: {api: {window: 1s}}", want: `limits.api.max is not set: limit "api" needs it; set LIMITS_API_MAX in the environment, or limits.api.max in the YAML file, to a value such as 100`},
		"unknown field":      {yaml: "limits: {api: {max: 1, windw: 1s, window: 1s}}", want: `limits.api.windw in config.yaml is not a known key; did you mean limits.api.window?`},
		"unknown top":        {yaml: "prot: 80", want: `prot in config.yaml is not a known key; did you mean port?`},
		"unknown section":    {yaml: "server: {a: 1, b: 2}", want: `server in config.yaml is not a known key; ` + known},
		"unknown redis":      {yaml: "redis: {urls: x}", want: `redis.urls in config.yaml is not a known key; did you mean redis.url?`},
		"unknown default":    {defaults: map[string]any{"limits.api.limit": 1}, want: `limits.api.limit in the program's defaults is not a known key; ` + known},
		"url as default":     {defaults: map[string]any{"redis://:pw@h": 1}, want: `xxxxx@h in the program's defaults is not a known key; ` + known},
		"nested default":     {defaults: map[string]any{"limits": map[string]any{}}, want: `limits in the program's defaults is not a known key; ` + known},
		"odd default":        {defaults: map[string]any{"port": func() {}}, want: `port (the program's defaults) is a func(); allowed: a string, an integer, a bool or, for a duration, a time.Duration`},
		"nil default":        {defaults: map[string]any{"port": nil}, want: `port (the program's defaults) is a <nil>; allowed: a string, an integer, a bool or, for a duration, a time.Duration`},
		"float default":      {defaults: map[string]any{"port": 80.5}, want: `port (the program's defaults) is 80.5: a whole number is needed; allowed: 1 to 65535`},
		"variable typo":      {env: []string{"LIMITS_API_MAXX=1"}, want: `LIMITS_API_MAXX in the environment is not a known variable; did you mean LIMITS_API_MAX?`},
		"variable typo 2":    {env: []string{"LIMITS_API_WINDW=1"}, want: `LIMITS_API_WINDW in the environment is not a known variable; did you mean LIMITS_API_WINDOW?`},
		"variable typo 3":    {env: []string{"LIMITS_API_windws=1"}, want: `LIMITS_API_windws in the environment is not a known variable; did you mean LIMITS_API_WINDOW?`},
		"variable secret":    {env: []string{"LIMITS_redis://:pw@h_MAX=1"}, want: `xxxxx@h_MAX in the environment ` + variables},
		"variable no name":   {env: []string{"LIMITS_MAX=1"}, want: `LIMITS_MAX in the environment ` + variables},
		"variable case":      {env: []string{"LIMITS_Api_MAX=1"}, want: `LIMITS_Api_MAX in the environment is not a known variable; did you mean LIMITS_API_MAX?`},
		"variable hyphen":    {env: []string{"LIMITS_A-B_MAX=1"}, want: `LIMITS_A-B_MAX in the environment is not a known variable; did you mean LIMITS_A_B_MAX?`},
		"variable in .env":   {dotEnv: "LIMITS_API_MXA=secret", want: `LIMITS_API_MXA in test.env is not a known variable; did you mean LIMITS_API_MAX?`},
		"redis in .env":      {dotEnv: "REDIS_TIMOUT=secret", want: `REDIS_TIMOUT in test.env is not a known variable; did you mean REDIS_TIMEOUT?`},
		"name capitals":      {yaml: "limits: {API: {max: 1, window: 1s}}", want: `limits.API in config.yaml has a name that is not allowed for a limit; ` + nameRule},
		"name hyphen":        {yaml: "limits: {per-user: {max: 1, window: 1s}}", want: `limits.per-user in config.yaml has a name that is not allowed for a limit; ` + nameRule},
		"name long":          {yaml: "limits: {" + long + ": {max: 1, window: 1s}}", want: `limits.` + long + ` in config.yaml has a name that is not allowed for a limit; ` + nameRule},
		"dotted key":         {yaml: "limits.api.max: 1", want: `limits.api.max in config.yaml is a key with a dot in it; write a section in its place`},
		"url as key":         {yaml: "redis:\n  redis://:pw@h:", want: `xxxxx@h in config.yaml is not a known key; ` + known},
		"redis not section":  {yaml: "redis: redis://:pw@h", want: `redis in config.yaml is not a section; allowed: keys indented below it`},
		"limits list":        {yaml: "limits: [1]", want: `limits in config.yaml is not a section; allowed: keys indented below it`},
		"limit null":         {yaml: "limits: {api: }", want: `limits.api in config.yaml is not a section; allowed: max, window, resolution, by and mode, indented below it`},
		"limit number":       {yaml: "limits: {api: 100}", want: `limits.api in config.yaml is not a section; allowed: max, window, resolution, by and mode, indented below it`},
		"limit empty":        {yaml: "limits: {api: {}}", want: `limits.api in config.yaml is not a section; allowed: max, window, resolution, by and mode, indented below it`},
		"field section":      {yaml: "limits: {api: {max: {1: 2}, window: 1s}}", want: `limits.api.max (config.yaml) is a section: a whole number is needed; ` + maxRule},
		"yaml syntax":        {yaml: "port: 80\nredis: a: b", want: `config.yaml is not valid YAML: line 2: mapping values are not allowed in this context`},
		"yaml scalar":        {yaml: "redis://:pw@host", want: "config.yaml is not valid YAML: unmarshal errors: line 1: cannot unmarshal !!str (not shown) into map[string]interface {}"},
		"yaml alias":         {yaml: "port: *pw", want: "config.yaml is not valid YAML: unknown anchor"},
		"yaml tag":           {yaml: "!redis://:pw@h x", want: "config.yaml is not valid YAML: unmarshal errors: line 1: cannot read a value with a tag (not shown)"},
		"yaml duplicate":     {yaml: "port: 1\nport: 2", want: `config.yaml is not valid YAML: unmarshal errors: line 2: mapping key (not shown) already defined at line 1`},
		"yaml documents":     {yaml: "---\nport: 1\n---\nport: 2", want: `config.yaml: line 3 begins a second YAML document; allowed: one`},
		".env no equals":     {dotEnv: "PORT=80\n\nREDIS_PASSWORD secret\nPORT=81", want: `test.env: line 3 is not of the form NAME=value`},
		".env last line":     {dotEnv: "PORT=80\nsecret", want: `test.env: line 2 is not of the form NAME=value`},
		".env odd name":      {dotEnv: "REDIS_URL redis://:secret@h", want: `test.env: line 1 is not of the form NAME=value`},
		".env open quote":    {dotEnv: "A='x\ny'\nREDIS_URL=\"redis://:secret@h\nPORT=80", want: `test.env: line 3 is not of the form NAME=value`},
	}
	requireRefused(t, tests)
	assert.GreaterOrEqual(t, len(tests), 60)
}

func TestLoadReportsEverythingAtOnce(t *testing.T) {
	inFiles(t, map[string]string{".env": "REDIS_TIMEOT=1\n", "config.yaml": "limits: {api: {max: 0.5}}\nlog: debug\nserver: x"})
	_, err := config.Load(config.Sources{
		YAML:    "config.yaml",
		DotEnv:  ".env",
		Environ: []string{"PORT=http", "LIMITS_MAX=1"},
	})
	require.EqualError(t, err, strings.Join([]string{
		`log in config.yaml is not a known key; ` + known,
		`server in config.yaml is not a known key; ` + above,
		`REDIS_TIMEOT in .env is not a known variable; did you mean REDIS_TIMEOUT?`,
		`LIMITS_MAX in the environment ` + variables,
		`port (PORT in the environment) is "http": a whole number is needed; allowed: 1 to 65535`,
		required,
		`limits.api.window is not set: limit "api" needs it; set LIMITS_API_WINDOW in the environment, or limits.api.window in the YAML file, to a value such as 15m`,
		`limits.api.max (config.yaml) is 0.5: a whole number is needed; allowed: 0 to 999999999999999 units`,
	}, "\n"))
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	assert.Len(t, joined.Unwrap(), 8)
}

func TestLoadNamesAFileThatCannotBeRead(t *testing.T) {
	inFiles(t, map[string]string{"file": ""})
	_, err := config.Load(config.Sources{YAML: "gone.yaml", DotEnv: "file/.env", Environ: env("PORT=0")})
	require.EqualError(t, err, "gone.yaml cannot be read: no such file or directory\n"+
		"file/.env cannot be read: not a directory\n"+
		`port (PORT in the environment) is "0"; allowed: 1 to 65535`)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, err, config.ErrInvalid)

	_, err = config.Load(config.Sources{YAML: ".", Environ: env()})
	require.EqualError(t, err, ". cannot be read: is a directory")
}

func TestLoadNeedsNoDotEnv(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{".env", "gone/.env"} {
		_, err := config.Load(config.Sources{DotEnv: path, Environ: env()})
		require.NoError(t, err)
	}
}

// What is missing may be in the file.
func TestLoadDoesNotMissWhatABrokenFileMayHave(t *testing.T) {
	inFiles(t, map[string]string{"bad.env": "no variable\n", "bad.yaml": "a: b: c", "octal.yaml": "port: 010"})
	for fault, sources := range map[string]config.Sources{
		"gone.yaml cannot be read: no such file or directory":                        {YAML: "gone.yaml"},
		". cannot be read: is a directory":                                           {DotEnv: "."},
		"bad.env: line 1 is not of the form NAME=value":                              {DotEnv: "bad.env"},
		"bad.yaml is not valid YAML: mapping values are not allowed in this context": {YAML: "bad.yaml"},
		"octal.yaml: line 1 has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only": {YAML: "octal.yaml"},
	} {
		sources.Environ = []string{"LIMITS_API_MAX=1"}
		_, err := config.Load(sources)
		require.EqualError(t, err, fault)
	}
}

func TestLoadLeavesForeignVariablesAlone(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{Environ: env(
		"LIMITS_CPU=2", "LIMITS_=x", "LIMITS_MEMORY_MB=1", "LIMITS_CPU_MIN=1", "LIMITS_API_BYE=ip", "LIMITS_API_B=ip", "LIMITS_SHARDS=1", "LIMITS_API_LIMIT=1",
		// What Kubernetes sets for a Service named limits.
		"LIMITS_SERVICE_HOST=10.0.0.1", "LIMITS_SERVICE_PORT=80", "LIMITS_SERVICE_PORT_HTTP=80", "LIMITS_SERVICE_PORT_MAIN=80",
		"LIMITS_PORT=tcp://10.0.0.1:80", "LIMITS_PORT_80_TCP=tcp://10.0.0.1:80", "LIMITS_PORT_80_TCP_PROTO=tcp",
		"LIMITS_PORT_80_TCP_PORT=80", "LIMITS_PORT_80_TCP_ADDR=10.0.0.1", "REDIS_SERVICE_HOST=10.0.0.2",
	)})
	require.NoError(t, err)
	assert.Empty(t, c.Limits)
}

func TestLoadTakesAByteOrderMark(t *testing.T) {
	const mark = "\ufeff"
	inFiles(t, map[string]string{".env": mark + "PORT=81\n", "config.yaml": mark + "# comment\n---\nredis: {prefix: p}\n"})
	c, err := config.Load(config.Sources{YAML: "config.yaml", DotEnv: ".env", Environ: env()})
	require.NoError(t, err)
	assert.Equal(t, 81, c.Port)
	assert.Equal(t, "p", c.Redis.Prefix)
}

func TestLoadHost(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "::1", "0.0.0.0", "api.example", "localhost"} {
		c, err := config.Load(config.Sources{Environ: env("HOST=" + host), Defaults: map[string]any{"host": "192.0.2.1"}})
		require.NoError(t, err)
		assert.Equal(t, host, c.Host)
	}
	c, err := config.Load(config.Sources{Environ: env("HOST=")})
	require.NoError(t, err)
	assert.Empty(t, c.Host)
}

func TestLoadLeavesTheDefaultsAlone(t *testing.T) {
	t.Parallel()
	defaults := map[string]any{"port": 3000, "limits.api.max": 1, "limits.api.window": "1s"}
	_, err := config.Load(config.Sources{Defaults: defaults, Environ: env("PORT=1")})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"port": 3000, "limits.api.max": 1, "limits.api.window": "1s"}, defaults)
}

// The rules for the prefix are written twice; this holds the two together.
func TestPrefixRuleIsThatOfTheStore(t *testing.T) {
	t.Parallel()
	prefixes := []string{strings.Repeat("p", 64), strings.Repeat("p", 65), "\u00e9"}
	for b := range 128 {
		if b != 0 { // an environment holds none
			prefixes = append(prefixes, string(rune(b)))
		}
	}
	for _, prefix := range prefixes {
		_, err := config.Load(config.Sources{Environ: env("REDIS_PREFIX=" + prefix)})
		_, storeErr := slidingwindow.NewRedisStore(nil, slidingwindow.RedisConfig{Prefix: prefix})
		assert.Equal(t, strings.Contains(storeErr.Error(), "RedisConfig.Prefix"), err != nil, "%q", prefix)
	}
}

func TestConfigLimit(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{Environ: env("LIMITS_B_MAX=2", "LIMITS_B_WINDOW=1s", "LIMITS_A_MAX=1", "LIMITS_A_WINDOW=1s")})
	require.NoError(t, err)
	b, err := c.Limit("b")
	require.NoError(t, err)
	assert.Equal(t, limit("b", 2, time.Second), b)

	_, err = c.Limit("api")
	require.EqualError(t, err, `limit "api" is not configured: set LIMITS_API_MAX and LIMITS_API_WINDOW, or limits.api.max and limits.api.window in the YAML file; configured: a, b`)
	require.ErrorIs(t, err, config.ErrInvalid)
	_, err = (&config.Config{}).Limit("api")
	require.ErrorContains(t, err, "configured: none")
	_, err = c.Limit("per-user")
	require.EqualError(t, err, `"per-user" is not the name of a limit; allowed: 1 to 64 lower-case letters, digits and underscores, not beginning with an underscore`)
}
