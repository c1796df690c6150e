package config_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// whole is the environment of a whole limit named api.
func whole(variables ...string) []string {
	return append([]string{"LIMITS_API_MAX=1", "LIMITS_API_WINDOW=1s"}, variables...)
}

func TestLimitApplication(t *testing.T) {
	inFiles(t, map[string]string{
		"config.yaml": "limits: {api: {max: 1, window: 1s, by: ip, mode: shadow}, login: {max: 1, window: 1s, by: 'param:id + ip', mode: enforce}, jobs: {max: 1, window: 1s, by: ''}}",
		".env":        "LIMITS_API_BY=query:tenant\nLIMITS_LOGIN_MODE=shadow",
	})
	c, err := config.Load(config.Sources{
		YAML:     "config.yaml",
		DotEnv:   ".env",
		Environ:  env("LIMITS_API_MODE=enforce", "LIMITS_LOGIN_BY=", "LIMITS_BY_MAX=1", "LIMITS_BY_WINDOW=1s", "LIMITS_BY_BY=route"),
		Defaults: map[string]any{"limits.api.by": "route", "limits.jobs.by": "route", "limits.jobs.mode": "off"},
	})
	require.NoError(t, err)
	want := map[string]config.Limit{}
	for name, applied := range map[string]config.Limit{
		"api":   {By: "query:tenant"},
		"login": {By: "param:id+ip", Mode: slidingwindow.ModeShadow},
		"jobs":  {Mode: slidingwindow.ModeOff},
		"by":    {By: "route"},
	} {
		applied.Limit = limit(name, 1, time.Second).Limit
		want[name] = applied
	}
	assert.Equal(t, want, c.Limits)
	login, err := c.Limit("login")
	require.NoError(t, err)
	assert.Equal(t, want["login"], login)
}

// What Load takes, it returns without spaces around the parts, and takes again.
func TestLimitBy(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"ip":                          "ip",
		" ip ":                        "ip",
		"ip + route":                  "ip+route",
		"route\t+ip":                  "route+ip",
		"header:X-API-Key":            "header:X-API-Key",
		"ip:header:CF-Connecting-IP":  "ip:header:CF-Connecting-IP",
		"hashed:ip:header:X-Real-IP":  "hashed:ip:header:X-Real-IP",
		"header:!#$%&'*-.^_`|~09azAZ": "header:!#$%&'*-.^_`|~09azAZ",
		"cookie:__Host-session":       "cookie:__Host-session",
		"query:tenant[id]":            "query:tenant[id]",
		"query:a:b":                   "query:a:b",
		"param:*":                     "param:*",
		"form:é":                      "form:é",
		"form:e mail":                 "form:e mail",
		"hashed:ip":                   "hashed:ip",
		"hashed:form:email + hashed:header:Authorization+ip": "hashed:form:email+hashed:header:Authorization+ip",
	} {
		for _, text := range []string{given, want} {
			c, err := config.Load(config.Sources{Environ: env(whole("LIMITS_API_BY="+text, "CLIENT_KEY_SECRET=0123456789abcdef")...)})
			require.NoError(t, err, "%q", text)
			assert.Equal(t, want, c.Limits["api"].By, "%q", text)
		}
	}
}

func TestLimitMode(t *testing.T) {
	for given, want := range map[string]slidingwindow.Mode{
		"enforce": slidingwindow.ModeEnforce, "shadow": slidingwindow.ModeShadow, "off": slidingwindow.ModeOff, "'off'": slidingwindow.ModeOff,
	} {
		inFiles(t, map[string]string{"config.yaml": "limits: {api: {max: 1, window: 1s, mode: " + given + "}}"})
		c, err := config.Load(config.Sources{YAML: "config.yaml", Environ: env(), Defaults: map[string]any{"limits.api.mode": "shadow"}})
		require.NoError(t, err)
		assert.Equal(t, want, c.Limits["api"].Mode, given)
	}
}

// everyFault is a line for each of the faults, which "|" separates.
func everyFault(key, value, faults, rule string) string {
	var lines []string
	for fault := range strings.SplitSeq(faults, "|") {
		lines = append(lines, key+strconv.QuoteToASCII(value)+": "+fault+rule)
		rule = "; " + above
	}
	return strings.Join(lines, "\n")
}

func TestLimitResolution(t *testing.T) {
	inFiles(t, map[string]string{"config.yaml": "limits: {api: {max: 1, window: 1h, resolution: 1m}, login: {max: 1, window: 1h}}"})
	c, err := config.Load(config.Sources{YAML: "config.yaml", Environ: env("LIMITS_LOGIN_RESOLUTION=30s"), Defaults: map[string]any{"limits.api.resolution": "30m"}})
	require.NoError(t, err)
	assert.Equal(t, time.Minute, c.Limits["api"].Resolution)
	assert.Equal(t, 30*time.Second, c.Limits["login"].Resolution)
}

func TestLimitRefuses(t *testing.T) {
	const (
		rule       = "; allowed: ip, ip:header:<name>, route, pattern, header:<name>, cookie:<name>, query:<name>, param:<name> and form:<name>, joined with +, each with or without hashed: before it"
		resolution = "limits.api.resolution (LIMITS_API_RESOLUTION in the environment) is "

		by      = "limits.api.by (LIMITS_API_BY in the environment) is "
		mode    = "limits.api.mode (LIMITS_API_MODE in the environment) is "
		inYAML  = "limits: {api: {max: 1, window: 1s, "
		modes   = "; allowed: enforce, shadow, off"
		noKey   = ": hashed: needs client.key_secret, which is not set; set CLIENT_KEY_SECRET in the environment to a text of 16 bytes or more"
		needMax = `limits.api.max is not set: limit "api" needs it; set LIMITS_API_MAX in the environment, or limits.api.max in the YAML file, to a value such as 100`
		needAll = needMax + "\n" + `limits.api.window is not set: limit "api" needs it; set LIMITS_API_WINDOW in the environment, or limits.api.window in the YAML file, to a value such as 15m`
	)
	refusals := map[string]wrong{
		"by in YAML":          {yaml: inYAML + "by: user}}", want: `limits.api.by (config.yaml) is "user": "user" is not known` + rule},
		"by number":           {yaml: inYAML + "by: 5}}", want: `limits.api.by (config.yaml) is 5: a text is needed` + rule},
		"by null":             {yaml: inYAML + "by: }}", want: `limits.api.by (config.yaml) is null: a text is needed` + rule},
		"by list":             {yaml: inYAML + "by: [ip, route]}}", want: `limits.api.by (config.yaml) is a list: a text is needed` + rule},
		"by section":          {yaml: inYAML + "by: {header: x}}}", want: `limits.api.by (config.yaml) is a section: a text is needed` + rule},
		"by default":          {env: whole(), defaults: map[string]any{"limits.api.by": "IP"}, want: `limits.api.by (the program's defaults) is "IP": "IP" is not known` + rule},
		"by in .env":          {env: whole(), dotEnv: "LIMITS_API_BY=IP", want: `limits.api.by (LIMITS_API_BY in test.env) is "IP": "IP" is not known` + rule},
		"mode true":           {env: whole("LIMITS_API_MODE=true"), want: mode + `"true"` + modes},
		"mode on":             {env: whole("LIMITS_API_MODE=on"), want: mode + `"on"` + modes},
		"mode 1":              {env: whole("LIMITS_API_MODE=1"), want: mode + `"1"` + modes},
		"mode OFF":            {env: whole("LIMITS_API_MODE=OFF"), want: mode + `"OFF"` + modes},
		"mode space":          {env: whole("LIMITS_API_MODE=off "), want: mode + `"off "` + modes},
		"mode yes in YAML":    {yaml: inYAML + "mode: yes}}", want: `limits.api.mode (config.yaml) is "yes"` + modes},
		"mode on in YAML":     {yaml: inYAML + "mode: on}}", want: `limits.api.mode (config.yaml) is "on"` + modes},
		"mode 1 in YAML":      {yaml: inYAML + "mode: 1}}", want: `limits.api.mode (config.yaml) is 1: a text is needed` + modes},
		"mode null":           {yaml: inYAML + "mode: }}", want: `limits.api.mode (config.yaml) is null: a text is needed` + modes},
		"mode empty":          {yaml: inYAML + "mode: ''}}", want: `limits.api.mode (config.yaml) is ""` + modes},
		"mode list":           {yaml: inYAML + "mode: [off]}}", want: `limits.api.mode (config.yaml) is a list: a text is needed` + modes},
		"mode section":        {yaml: inYAML + "mode: {a: 1}}}", want: `limits.api.mode (config.yaml) is a section: a text is needed` + modes},
		"mode default":        {env: whole(), defaults: map[string]any{"limits.api.mode": true}, want: `limits.api.mode (the program's defaults) is true: a text is needed` + modes},
		"by alone":            {env: []string{"LIMITS_API_BY=ip"}, want: needAll},
		"created by":          {env: []string{"LIMITS_CREATED_BY=ops"}, want: strings.ReplaceAll(strings.ReplaceAll(needAll, "api", "created"), "API", "CREATED") + "\n" + `limits.created.by (LIMITS_CREATED_BY in the environment) is "ops": "ops" is not known` + rule},
		"mode alone":          {yaml: "limits: {api: {mode: off}}", want: needAll},
		"without max":         {yaml: "limits: {api: {mode: off, window: 1s}}", want: needMax},
		"all at once":         {env: []string{"LIMITS_API_MAX=x", "LIMITS_API_BY=x", "LIMITS_API_MODE=x", "LIMITS_API_WINDOW=1s"}, want: `limits.api.max (LIMITS_API_MAX in the environment) is "x": a whole number is needed; allowed: 0 to 999999999999999 units` + "\n" + by + `"x": "x" is not known` + rule + "\n" + mode + `"x"` + modes},
		"field":               {yaml: inYAML + "modes: off}}", want: `limits.api.modes in config.yaml is not a known key; did you mean limits.api.mode?`},
		"field by":            {yaml: inYAML + "bye: ip}}", want: `limits.api.bye in config.yaml is not a known key; did you mean limits.api.by?`},
		"field unlike by":     {yaml: inYAML + "ip: true}}", want: `limits.api.ip in config.yaml is not a known key; ` + known},
		"mode typo":           {env: whole("LIMITS_API_MODES=off"), want: `LIMITS_API_MODES in the environment is not a known variable; did you mean LIMITS_API_MODE?`},
		"mode typo 2":         {env: whole("LIMITS_API_MDE=off"), want: `LIMITS_API_MDE in the environment is not a known variable; did you mean LIMITS_API_MODE?`},
		"mode no name":        {env: []string{"LIMITS_MODE=off"}, want: `LIMITS_MODE in the environment ` + variables},
		"mode name":           {env: []string{"LIMITS_Api_MODE=off"}, want: `LIMITS_Api_MODE in the environment is not a known variable; did you mean LIMITS_API_MODE?`},
		"by no name":          {env: []string{"LIMITS_BY=ip"}, want: `LIMITS_BY in the environment ` + variables},
		"by name":             {env: []string{"LIMITS_A-B_BY=ip"}, want: `LIMITS_A-B_BY in the environment is not a known variable; did you mean LIMITS_A_B_BY?`},
		"by case":             {env: []string{"LIMITS_API_by=ip"}, want: `LIMITS_API_by in the environment is not a known variable; did you mean LIMITS_API_BY?`},
		"by typo in .env":     {env: whole(), dotEnv: "LIMITS_API_BYE=ip", want: `LIMITS_API_BYE in test.env is not a known variable; did you mean LIMITS_API_BY?`},
		"hashed, no secret":   {env: whole("LIMITS_API_BY=hashed:route + hashed:query:a + ip"), want: by + `"hashed:route + hashed:query:a + ip"` + noKey},
		"hashed, YAML":        {env: []string{"CLIENT_KEY_SECRET="}, yaml: inYAML + "by: hashed:ip}}\nclient: {key_secret: ''}", want: `limits.api.by (config.yaml) is "hashed:ip"` + noKey},
		"hashed, bad secret":  {env: whole("LIMITS_API_BY=hashed:ip", "CLIENT_KEY_SECRET=s3cret"), want: "client.key_secret (CLIENT_KEY_SECRET in the environment), not shown as it is a secret: it has a length of 6; allowed: a text of 16 bytes or more"},
		"resolution over":     {env: whole("LIMITS_API_RESOLUTION=2s"), want: resolution + `"2s"; allowed: 0s, or 1ms to the Window of 1s`},
		"resolution short":    {env: whole("LIMITS_API_RESOLUTION=1us"), want: resolution + `"1us"; allowed: 0s, or 1ms to the Window of 1s`},
		"resolution below 0":  {env: whole("LIMITS_API_RESOLUTION=-1ms"), want: resolution + `"-1ms"; allowed: 0s, or 1ms to the Window of 1s`},
		"resolution uneven":   {env: whole("LIMITS_API_RESOLUTION=300ms"), want: resolution + `"300ms"; allowed: a duration that the Window of 1s is a multiple of`},
		"resolution unit":     {env: whole("LIMITS_API_RESOLUTION=1"), want: resolution + `"1": a duration needs a unit; allowed: 0s, or 1ms to the window, of which the window is a multiple, such as 1m`},
		"resolution alone":    {yaml: "limits: {api: {resolution: 1s}}", want: needAll},
		"resolution typo":     {env: whole("LIMITS_API_RESOLUTON=1s"), want: `LIMITS_API_RESOLUTON in the environment is not a known variable; did you mean LIMITS_API_RESOLUTION?`},
		"window for it":       {env: []string{"LIMITS_API_MAX=1", "LIMITS_API_WINDOW=0s", "LIMITS_API_RESOLUTION=1s"}, want: `limits.api.window (LIMITS_API_WINDOW in the environment) is "0s"; allowed: 1ms to 87600h, such as 15m`},
		"hashed, broken file": {env: whole("LIMITS_API_BY=hashed:ip"), yaml: "a: b: c", want: "config.yaml is not valid YAML: mapping values are not allowed in this context"},
		"by is a URL":         {env: whole("LIMITS_API_BY=redis://:a+s3cret+b@h"), want: strings.Replace(strings.Repeat("\n"+by+`"xxxxx@h": a part is not known; `+above, 3)[1:], "; "+above, rule, 1)},
	}
	for part, fault := range map[string]string{
		" ":                "part 1 is empty",
		"+":                "part 1 is empty|part 2 is empty",
		"ip+":              "part 2 is empty",
		"ip++route":        "part 2 is empty",
		"ip+X+route+Y":     `"X" is not known|"Y" is not known`,
		"Route":            `"Route" is not known`,
		"ip,route":         `"ip,route" is not known`,
		"ip:":              `"ip:" has a colon, and ip takes no name`,
		"ip:header":        `"ip:header" has a colon, and ip takes no name`,
		"ip:header:":       `"ip:header:" lacks a name`,
		"ip:header:a b":    `"ip:header:a b" has a name that no header can have`,
		"route:/x":         `"route:/x" has a colon, and route takes no name`,
		"header":           `"header" lacks a name`,
		"header:":          `"header:" lacks a name`,
		"cookie":           `"cookie" lacks a name`,
		"query:":           `"query:" lacks a name`,
		"param: ":          `"param:" lacks a name`,
		"form":             `"form" lacks a name`,
		":":                `":" is not known`,
		"header:a b":       `"header:a b" has a name that no header can have`,
		"header: a":        `"header: a" has a name that no header can have`,
		"header:a:b":       `"header:a:b" has a name that no header can have`,
		"header:é":         `"header:\u00e9" has a name that no header can have`,
		"cookie:a=b":       `"cookie:a=b" has a name that no cookie can have`,
		"query: a":         `"query: a" has a space before its name`,
		"hashed":           `"hashed" is not known`,
		"hashed:":          `"hashed:" is not known`,
		"hashed: ip":       `"hashed: ip" is not known`,
		"Hashed:ip":        `"Hashed:ip" is not known`,
		"hashed:header":    `"hashed:header" lacks a name`,
		"hashed:hashed:ip": `"hashed:hashed:ip" is not known`,
	} {
		refusals["part "+part] = wrong{env: whole("LIMITS_API_BY="+part, "CLIENT_KEY_SECRET=0123456789abcdef"), want: everyFault(by, part, fault, rule)}
	}
	requireRefused(t, refusals)
}

// What Kubernetes sets for ports that are named as a limit's fields are.
func TestLoadTakesNoNamedPortForALimit(t *testing.T) {
	inFiles(t, map[string]string{"config.yaml": "limits: {x_service_port: {max: 1, window: 1s}}"})
	ports := []string{
		"LIMITS_SERVICE_PORT_BY=80", "LIMITS_SERVICE_PORT_MODE=81", "LIMITS_SERVICE_PORT_MODES=82", "LIMITS_SERVICE_PORT_STAND_BY=83",
		"LIMITS_API_SERVICE_PORT_BY=80", "LIMITS_API_SERVICE_PORT_MAX=", "LIMITS_API_SERVICE_HOST=10.0.0.1", "LIMITS_API_PORT_80_TCP=tcp://10.0.0.1:80", "LIMITS_BY_PORT=tcp://10.0.0.1:80",
	}
	c, err := config.Load(config.Sources{Environ: env(ports...)})
	require.NoError(t, err)
	assert.Empty(t, c.Limits)

	// A limit of such a name is one all the same, and half of one is a fault.
	for half, other := range map[string]string{"MAX=1": "window", "WINDOW=1s": "max"} {
		_, err := config.Load(config.Sources{Environ: env("LIMITS_SERVICE_PORT_" + half)})
		require.ErrorContains(t, err, "limits.service_port."+other+" is not set")
	}
	ports = append(ports, "LIMITS_X_SERVICE_PORT_BY=ip", "LIMITS_Y_SERVICE_PORT_MODE=shadow", "LIMITS_Y_SERVICE_PORT_MAX=1", "LIMITS_Y_SERVICE_PORT_WINDOW=1s")
	c, err = config.Load(config.Sources{YAML: "config.yaml", Environ: env(ports...)})
	require.NoError(t, err)
	x, y := limit("x_service_port", 1, time.Second), limit("y_service_port", 1, time.Second)
	x.By, y.Mode = "ip", slidingwindow.ModeShadow
	assert.Equal(t, map[string]config.Limit{"x_service_port": x, "y_service_port": y}, c.Limits)
}
