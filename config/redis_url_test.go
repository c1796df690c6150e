package config

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where rueidis.ParseURL takes a URL for what it says, so do we.
func TestURLMeansWhatRueidisSays(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"redis://localhost",
		"redis://localhost:6379",
		"redis://",
		"redis://:6380",
		"redis://h:",
		"REDIS://h",
		"valkey://h/3",
		"redis://h/3?db=3",
		"redis://h?db=4",
		"redis://user:password@h:1/2",
		"redis://:p%40%2F%3F%23%25@h",
		"redis://user:@h",
		"redis://[::1]:6379",
		"redis://[::1]",
		"redis://192.0.2.1:65535",
		"redis://a:1?addr=b:2&addr=c:3",
		"redis://a:1?addr=[2001:db8::1]:2",
		"redis://h?dial_timeout=3s&write_timeout=700ms",
		"redis://h?protocol=3",
		"redis://h?client_cache=0",
		"redis://h?client_cache=1",
		"redis://h?max_retries=0",
		"redis://h?client_name=api-1",
		"redis://s1:26379?addr=s2:26379&master_set=mymaster&db=1",
		"rediss://h",
		"valkeys://h?skip_verify",
		"rediss://h?skip_verify=true",
		"rediss://h?skip_verify=0",
		"unix:///run/redis.sock",
		"unix://user:password@/run/redis.sock?db=2",
	} {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()
			want, err := rueidis.ParseURL(raw)
			require.NoError(t, err)
			u, faults := parseURL(raw)
			require.Empty(t, faults)
			got := u.open().option()

			assert.Equal(t, want.InitAddress, got.InitAddress)
			assert.Equal(t, want.Username, got.Username)
			assert.Equal(t, want.Password, got.Password)
			assert.Equal(t, want.SelectDB, got.SelectDB)
			// rueidis makes 10s of 0, this package less.
			assert.Equal(t, cmp.Or(want.ConnWriteTimeout, 2*time.Second), got.ConnWriteTimeout)
			assert.Equal(t, want.AlwaysRESP2, got.AlwaysRESP2)
			assert.Equal(t, want.DisableCache, got.DisableCache)
			assert.Equal(t, want.DisableRetry, got.DisableRetry)
			assert.Equal(t, want.ClientName, got.ClientName)
			assert.Equal(t, want.Sentinel.MasterSet, got.Sentinel.MasterSet)
			if want.Dialer.Timeout != 0 {
				assert.Equal(t, want.Dialer.Timeout, got.Dialer.Timeout)
			} else {
				assert.Equal(t, 5*time.Second, got.Dialer.Timeout)
			}
			require.Equal(t, want.TLSConfig == nil, got.TLSConfig == nil)
			if want.TLSConfig != nil {
				assert.Equal(t, want.TLSConfig.MinVersion, got.TLSConfig.MinVersion)
				assert.Equal(t, want.TLSConfig.InsecureSkipVerify, got.TLSConfig.InsecureSkipVerify)
				assert.Equal(t, want.TLSConfig.ServerName, u.open().serverName(got.InitAddress[0]))
			}
		})
	}
}

// What rueidis.ParseURL takes wrongly, or leaves out.
func TestURLBeyondRueidis(t *testing.T) {
	t.Parallel()
	option := func(raw string) rueidis.ClientOption {
		u, faults := parseURL(raw)
		require.Empty(t, faults)
		return u.open().option()
	}
	assert.Zero(t, option("redis://h/").SelectDB, "an empty path names no database")
	assert.True(t, option("redis://h?protocol=2").DisableCache, "the cache needs protocol 3")
	assert.Equal(t, []string{"a:1", "b:2"}, option("redis://a:1?addr=b:2&addr=a:1&addr=b:2").InitAddress, "an address counts once")

	sentinel := option("rediss://user:password@s:26379?master_set=m&client_name=n&skip_verify=1&dial_timeout=1s").Sentinel
	assert.Equal(t, 5*time.Second, sentinel.TopologyRefreshInterval)
	assert.Empty(t, sentinel.Username+sentinel.Password, "the login is that of the data nodes")
	assert.Equal(t, "n", sentinel.ClientName)
	assert.Equal(t, time.Second, sentinel.Dialer.Timeout)
	require.NotNil(t, sentinel.TLSConfig, "sentinels speak TLS too")
	assert.Equal(t, &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, sentinel.TLSConfig)
}

func TestServerName(t *testing.T) {
	t.Parallel()
	named := &server{addrs: []string{"a.example:1", "192.0.2.1:1", "b.example:1"}}
	assert.Equal(t, "a.example", named.serverName("a.example:1"))
	assert.Equal(t, "b.example", named.serverName("b.example:1"), "not that of the first host")
	assert.Equal(t, "192.0.2.1", named.serverName("192.0.2.1:1"), "the user said it")
	assert.Equal(t, "c.example", named.serverName("c.example:1"))
	assert.Equal(t, "a.example", named.serverName("192.0.2.9:1"), "the cluster said it")
	byIP := &server{addrs: []string{"192.0.2.1:1"}}
	assert.Equal(t, "192.0.2.9", byIP.serverName("192.0.2.9:1"))
}

func TestURLInMemory(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"memory://", "Memory://", "MEMORY://"} {
		u, faults := parseURL(raw)
		require.Empty(t, faults)
		assert.True(t, Redis{URL: u}.InMemory())
		assert.Equal(t, "memory://", u.String())
	}
	u, faults := parseURL("redis://memory")
	require.Empty(t, faults)
	assert.False(t, Redis{URL: u}.InMemory())
	assert.False(t, Redis{}.InMemory())
}

func TestURLRefused(t *testing.T) {
	t.Parallel()
	const (
		hidden  = "redis.url (REDIS_URL in the environment), not shown as it may hold a password: "
		form    = "it is not a well-formed URL; " + encodeAdvice
		unknown = "allowed: addr, client_cache, client_name, db, dial_timeout, master_set, max_retries, protocol, skip_verify, write_timeout"
		timeout = "allowed: a duration with a unit, 1ms or more, such as 5s"
	)
	is := func(shown string, faults ...string) string {
		for i := range faults {
			faults[i] = `redis.url (REDIS_URL in the environment) is "` + shown + `": ` + faults[i]
		}
		return strings.Join(faults, "\n")
	}
	tests := []struct{ raw, want string }{
		{"localhost:6379", hidden + "it has no scheme; allowed: " + allowedSchemes},
		{"localhost", hidden + "it has no scheme; allowed: " + allowedSchemes},
		{"s3cret", hidden + "it has no scheme; allowed: " + allowedSchemes},
		{"//localhost", hidden + "it has no scheme; allowed: " + allowedSchemes},
		{"redis:localhost", hidden + "it has no scheme; allowed: " + allowedSchemes},
		{"http://localhost", hidden + `scheme "http" is not known; allowed: ` + allowedSchemes},
		{"redis+tls://h", hidden + `scheme (not shown) is not known; allowed: ` + allowedSchemes},
		{"user:s3cret@localhost:6379", hidden + form},
		{"redis://:s3/cret@h", hidden + form},
		{"redis://:s3?cret@h", hidden + form},
		{"redis://:s3#cret@h", hidden + form},
		{"redis://:1/s3cret@h", hidden + form},
		{"redis://:1?protocol=s3cret@h", hidden + form},
		{"redis://:s3%zzcret@h", hidden + form},
		{"redis://h:port", hidden + form},
		{"redis://[::1", hidden + form},
		{"redis://h\x00", hidden + "it has a line break, a tab or another control character in it"},
		{"\ufeffredis://h", hidden + "it begins with a byte order mark"},
		{`"redis://h"`, hidden + "it has quotes around it"},
		{"'memory://'", hidden + "it has quotes around it"},
		{"redis://s3cret@h", `redis.url (REDIS_URL in the environment) is "redis://xxxxx@h": it has a user and no password; allowed: a colon before a password, as in redis://:password@host, or a user and a password, as in redis://user:password@host, or the password in redis.password (REDIS_PASSWORD)`},
		{"redis://h\n", hidden + "it begins or ends with a space or a line break"},
		{" redis://h", hidden + "it begins or ends with a space or a line break"},
		{"memory://h", hidden + "memory:// takes nothing after it"},
		{"memory:///", hidden + "memory:// takes nothing after it"},
		{"memory://?db=1", hidden + "memory:// takes nothing after it"},
		{"memory", hidden + "to limit within this process only, write memory://"},
		{"memory:", hidden + "to limit within this process only, write memory://"},
		{"MEMORY", hidden + "to limit within this process only, write memory://"},
		{"memory:/", hidden + "memory:// takes nothing after it"},
		{"memory:1", hidden + "memory:// takes nothing after it"},
		{"redis://a,b", is("redis://xxxxx", "the host is not a host name or an IP address; give further nodes as ?addr=host:port")},
		{"redis://h:0", is("redis://h:0", `the port is "0"; allowed: 1 to 65535`)},
		{"redis://h:65536", is("redis://h:65536", `the port is "65536"; allowed: 1 to 65535`)},
		{"redis://h/0#x", is("redis://h/0#xxxxx", `it has a fragment, the part after "#"; `+encodeAdvice)},
		{"redis://h#", is("redis://h", `it has a fragment, the part after "#"; `+encodeAdvice)},
		{"redis://h/x", is("redis://h/x", `the path is "/x"; allowed: the number of a database, such as /0`)},
		{"redis://h/-1", is("redis://h/-1", `the path is "/-1"; allowed: the number of a database, such as /0`)},
		{"redis://h/+1", is("redis://h/xxxxx", `the path is (not shown); allowed: the number of a database, such as /0`)},
		{"redis://h/0/1", is("redis://h/0/1", `the path is "/0/1"; allowed: the number of a database, such as /0`)},
		{"redis://h/2147483648", is("redis://h/2147483648", `the path is "/2147483648"; allowed: the number of a database, such as /0`)},
		{"redis://h?db=x", is("redis://h?db=x", `db is "x"; allowed: a whole number, 0 or more`)},
		{"redis://h?db=-1", is("redis://h?db=-1", `db is "-1"; allowed: a whole number, 0 or more`)},
		{"redis://h?db=", is("redis://h?db=", `db is ""; allowed: a whole number, 0 or more`)},
		{"redis://h/1?db=2", is("redis://h/1?db=2", `db is "2"; allowed: the number in the path, /1, or only one of the two`)},
		{"redis://h/0?db=2", is("redis://h/0?db=2", `db is "2"; allowed: the number in the path, /0, or only one of the two`)},
		{"redis://h?db=1&db=1", is("redis://h?db=1&db=1", `db is given 2 times; allowed: once`)},
		{"redis://h?dial_timeout=5", is("redis://h?dial_timeout=5", `dial_timeout is "5"; `+timeout)},
		{"redis://h?dial_timeout=-5s", is("redis://h?dial_timeout=-5s", `dial_timeout is "-5s"; `+timeout)},
		{"redis://h?dial_timeout=0", is("redis://h?dial_timeout=0", `dial_timeout is "0"; `+timeout)},
		{"redis://h?write_timeout=1us", is("redis://h?write_timeout=1us", `write_timeout is "1us"; `+timeout)},
		{"redis://h?addr=b", is("redis://h?addr=b", `addr is "b"; allowed: host:port`)},
		{"redis://h?addr=:1", is("redis://h?addr=:1", `addr is ":1"; allowed: host:port`)},
		{"redis://h?addr=b:0", is("redis://h?addr=b:0", `addr is "b:0"; allowed: host:port`)},
		{"redis://h?addr=u:s3cret%40b:1", is("redis://h?addr=xxxxx", `addr is (not shown); allowed: host:port`)},
		{"redis://h?skip_verify=true", is("redis://h?skip_verify=true", `skip_verify is for TLS; allowed: with rediss:// or valkeys://`)},
		{"rediss://h?skip_verify=no", is("rediss://h?skip_verify=no", `skip_verify is "no"; allowed: true or false`)},
		{"redis://h?protocol=4", is("redis://h?protocol=4", `protocol is "4"; allowed: 2 or 3`)},
		{"redis://h?protocol=", is("redis://h?protocol=", `protocol is ""; allowed: 2 or 3`)},
		{"redis://h?client_cache=no", is("redis://h?client_cache=no", `client_cache is "no"; allowed: 0 or 1`)},
		{"redis://h?client_cache=1&protocol=2", is("redis://h?client_cache=1&protocol=2", `client_cache=1 does not go with protocol=2; allowed: with protocol=3`)},
		{"redis://h?max_retries=7", is("redis://h?max_retries=7", `max_retries is "7"; allowed: only 0, which stops the retries of commands that read; leave it out to retry until the call's deadline`)},
		{"redis://h?client_name=", is("redis://h?client_name=", `client_name is ""; allowed: 1 to 64 printable ASCII characters other than the space`)},
		{"redis://h?client_name=a+b", is("redis://h?client_name=xxxxx", `client_name is (not shown); allowed: 1 to 64 printable ASCII characters other than the space`)},
		{"redis://h?master_set=", is("redis://h?master_set=", `master_set is ""; allowed: 1 to 64 letters, digits, dots, underscores and hyphens`)},
		{"redis://h?password=s3cret", is("redis://h?password=xxxxx", `parameter "password" is not known; `+unknown)},
		{"redis://h?read_timeout=1s", is("redis://h?read_timeout=xxxxx", `parameter "read_timeout" is not known; `+unknown)},
		{"redis://h?s3%3Dcret", is("redis://h?xxxxx=xxxxx", `parameter (not shown) is not known; `+unknown)},
		{"redis://h?DB=1", is("redis://h?xxxxx=xxxxx", `parameter (not shown) is not known; `+unknown)},
		{"redis://h?s3cret", is("redis://h?xxxxx=xxxxx", `parameter (not shown) is not known; `+unknown)},
		{"redis://h?a;b", is("redis://h?xxxxx", `its parameters are not well-formed; allowed: ?name=value&name=value, with special characters percent-encoded`)},
		{"unix://", is("unix://", `the path of the Unix socket is missing; allowed: an absolute path, such as unix:///run/redis.sock`)},
		{"unix:///", is("unix:///", `the path of the Unix socket is missing; allowed: an absolute path, such as unix:///run/redis.sock`)},
		{"unix://run/redis.sock", is("unix:///redis.sock", `a Unix socket has no host; allowed: an absolute path after unix://, such as unix:///run/redis.sock`)},
		{"unix:///s?addr=b:1&master_set=m", is("unix:///s?addr=b:1&master_set=m", `addr does not go with a Unix socket; allowed: with redis:// or rediss://`, `master_set does not go with a Unix socket; allowed: with redis:// or rediss://`)},
		{"redis://u:s3cret@h:0/x?protocol=1&nope=s3cret", is("redis://xxxxx@h:0/x?nope=xxxxx&protocol=1", `the port is "0"; allowed: 1 to 65535`, `the path is "/x"; allowed: the number of a database, such as /0`, `parameter "nope" is not known; `+unknown, `protocol is "1"; allowed: 2 or 3`)},
	}
	for _, test := range tests {
		t.Run(test.raw, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Sources{Environ: []string{"REDIS_URL=" + test.raw}})
			require.EqualError(t, err, test.want)
			assert.NotContains(t, err.Error(), "cret")
		})
	}
}

// Whatever prints a Config, the password stays out.
func TestURLNeverShowsTheLogin(t *testing.T) {
	t.Parallel()
	c, err := Load(Sources{Environ: []string{"REDIS_URL=rediss://topuser:s3cret-marker@h:1/2?client_name=me"}})
	require.NoError(t, err)
	c.Redis.Logger = slog.Default()
	type unexported struct {
		c Config
		p *Config
		u URL
	}
	var logged bytes.Buffer
	text, jsonLogger := slog.New(slog.NewTextHandler(&logged, nil)), slog.New(slog.NewJSONHandler(&logged, nil))
	for _, value := range []any{c, *c, c.Redis, &c.Redis, c.Redis.URL, &c.Redis.URL, []any{c.Redis.URL}, unexported{*c, c, c.Redis.URL}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t", "%08v"} {
			fmt.Fprintf(&logged, verb+"\n", value)
		}
		text.Info("text", "value", value)
		jsonLogger.Info("json", "value", value)
		encoded, err := json.Marshal(value)
		require.NoError(t, err)
		logged.Write(encoded)
	}
	out := logged.String()
	assert.Contains(t, out, "rediss://xxxxx@h:1/2?client_name=me")
	for _, secret := range []string{"s3cret", "topuser", fmt.Sprintf("%x", "s3cret"), fmt.Sprintf("%X", "s3cret")} {
		assert.NotContains(t, out, secret)
	}
	assert.Equal(t, `"rediss://xxxxx@h:1/2?client_name=me"`, fmt.Sprintf("%#v", c.Redis.URL))
	assert.Empty(t, URL{}.String())
}

// requireShownFormIsAURL checks that what is shown of a URL is one for the same servers, and
// shows itself as it is. A part that is masked for its odd characters is another.
func requireShownFormIsAURL(t *testing.T, u URL) {
	t.Helper()
	login := strings.Index(u.String(), mask+"@")
	if strings.Count(u.String(), mask) > 1 || login < 0 && strings.Contains(u.String(), mask) {
		return
	}
	again, faults := parseURL(u.String())
	if len(faults) > 0 || again.String() != u.String() {
		t.Fatalf("%q is shown for a URL: %q, %q", u, again, faults)
	}
	if got, want := again.open(), u.open(); !slices.Equal(got.addrs, want.addrs) || got.db != want.db || got.scheme != want.scheme || got.skipVerify != want.skipVerify {
		t.Fatalf("%q is shown for %+v", u, want.addrs)
	}
}

// FuzzURL puts a password anywhere in front of an "@", which is where a URL has it,
// well-formed or not.
func FuzzURL(f *testing.F) {
	const marker = "s3cret-marker"
	for _, parts := range [][2]string{
		{"redis://user:", "h:6379/0"}, {"redis://:1?protocol=", "h"}, {"http://x/", "h"}, {"", "h"}, {"unix://:", "/s"},
		{"redis://:%zz", "h"}, {"redis://h?addr=b:1&client_name=", "x"}, {"memory://", ""}, {"redis://a@b#", "x@y"}, {"redis://", "?&"}, {"redis:", "h"},
		{"rediss://h/", "?skip_verify"}, {"redis://[::1]:", "h:99999?max_retries=7"},
	} {
		f.Add(parts[0], parts[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		raw := before + marker + "@" + after
		u, faults := parseURL(raw)
		texts := append(faults, u.String(), u.GoString(), fmt.Sprintf("%+v", u))
		for _, text := range texts {
			// Where the marker stands in the host or after it too, it is no password.
			if strings.Contains(text, marker) && !strings.Contains(after, marker) {
				t.Fatalf("%q shows the password: %s", raw, text)
			}
		}
		if len(faults) == 0 && !u.open().hasPassword { // which is a fault of the login as a whole
			raw = strings.Replace(raw, marker, marker+":", 1)
			u, faults = parseURL(raw)
		}
		_, err := Load(Sources{Environ: []string{"REDIS_URL=" + raw}})
		if (err == nil) != (len(faults) == 0) {
			t.Fatalf("%q: %v, but faults are %q", raw, err, faults)
		}
		if err == nil {
			option := u.open().option()
			if len(option.InitAddress) == 0 && !(Redis{URL: u}).InMemory() {
				t.Fatalf("%q has no address", raw)
			}
			requireShownFormIsAURL(t, u)
		}
		if parsed, parseErr := rueidis.ParseURL(raw); err == nil && parseErr == nil && parsed.Password != u.open().password {
			t.Fatalf("%q: password differs from rueidis's", raw)
		}
	})
}
