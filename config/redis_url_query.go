package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parameter reads the value of one parameter of the URL. It returns "", or what is allowed if the
// value is not valid.
type parameter func(s *server, value string) (allowed string)

var (
	parameters = map[string]parameter{
		"addr":          setAddr,
		"client_cache":  setClientCache,
		"client_name":   setClientName,
		"db":            nil, // see setDB, which also needs the path
		"dial_timeout":  func(s *server, value string) string { return setTimeout(&s.dialTimeout, value) },
		"master_set":    setMasterSet,
		"max_retries":   setMaxRetries,
		"protocol":      setProtocol,
		"skip_verify":   setSkipVerify,
		"write_timeout": func(s *server, value string) string { return setTimeout(&s.writeTimeout, value) },
	}

	parameterName = regexp.MustCompile(`^[a-z_]{1,32}$`)
	redisWord     = regexp.MustCompile(`^[!-~]{1,64}$`)
	masterSetName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

func (p *urlParser) faultf(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// query reads the parameters.
func (p *urlParser) query() {
	values, err := url.ParseQuery(p.parsed.RawQuery)
	if err != nil {
		p.faultf("its parameters are not well-formed; allowed: ?name=value&name=value, with special characters percent-encoded")
		return
	}
	p.server.parameters = slices.Sorted(maps.Keys(values))
	allowed := strings.Join(slices.Sorted(maps.Keys(parameters)), ", ")
	for _, name := range p.server.parameters {
		set, known := parameters[name]
		if !known {
			p.faultf("parameter %s is not known; allowed: %s", quotedName(name), allowed)
			allowed = "what is listed above"
			continue
		}
		if len(values[name]) > 1 && name != "addr" {
			p.faultf("%s is given %d times; allowed: once", name, len(values[name]))
			continue
		}
		for _, value := range values[name] {
			allowed := ""
			if name == "db" {
				allowed = p.setDB(value)
			} else {
				allowed = set(&p.server, value)
			}
			if allowed != "" {
				p.faultf("%s is %s; allowed: %s", name, quoted(value), allowed)
			}
		}
	}
	p.contradictions(values)
}

// contradictions reports parameters that are valid by themselves but not together.
func (p *urlParser) contradictions(values url.Values) {
	if values.Has("skip_verify") && p.server.scheme != "rediss" {
		p.faultf("skip_verify is for TLS; allowed: with rediss:// or valkeys://")
	}
	if p.server.scheme == schemeUnix {
		for _, name := range []string{"addr", "master_set"} {
			if values.Has(name) {
				p.faultf("%s does not go with a Unix socket; allowed: with redis:// or rediss://", name)
			}
		}
	}
	if p.server.resp2 && values.Get("client_cache") == "1" {
		p.faultf("client_cache=1 does not go with protocol=2; allowed: with protocol=3")
	}
}

func (p *urlParser) setDB(value string) string {
	db, ok := parseDB(value)
	switch {
	case !ok:
		return "a whole number, 0 or more"
	case p.dbInPath && db != p.server.db:
		return "the number in the path, /" + strconv.Itoa(p.server.db) + ", or only one of the two"
	}
	p.server.db = db
	return ""
}

// setAddr takes a whole address only. rueidis.ParseURL would replace an address without a port by the
// URL's own host.
func setAddr(s *server, value string) string {
	host, port, err := net.SplitHostPort(value)
	if err != nil || !isHost(host) || !isPort(port) {
		return "host:port"
	}
	if addr := net.JoinHostPort(host, port); !slices.Contains(s.addrs, addr) {
		s.addrs = append(s.addrs, addr)
	}
	return ""
}

func setTimeout(timeout *time.Duration, value string) string {
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Millisecond {
		return "a duration with a unit, 1ms or more, such as 5s"
	}
	*timeout = d
	return ""
}

// setSkipVerify reads a parameter without a value as true, as rueidis.ParseURL does.
func setSkipVerify(s *server, value string) string {
	switch value {
	case "", "true", "1":
		s.skipVerify = true
	case "false", "0":
	default:
		return "true or false"
	}
	return ""
}

func setProtocol(s *server, value string) string {
	if value != "2" && value != "3" {
		return "2 or 3"
	}
	s.resp2 = value == "2"
	return ""
}

func setClientCache(s *server, value string) string {
	if value != "0" && value != "1" {
		return "0 or 1"
	}
	s.noCache = value == "0"
	return ""
}

func setMaxRetries(s *server, value string) string {
	if value != "0" {
		return "only 0, which stops the retries of commands that read; leave it out to retry until the call's deadline"
	}
	s.noRetry = true
	return ""
}

func setClientName(s *server, value string) string {
	if !redisWord.MatchString(value) {
		return "1 to 64 printable ASCII characters other than the space"
	}
	s.clientName = value
	return ""
}

func setMasterSet(s *server, value string) string {
	if !masterSetName.MatchString(value) {
		return "1 to 64 letters, digits, dots, underscores and hyphens"
	}
	s.masterSet = value
	return ""
}

// quotedName is the name of a parameter for a message. It shows the same names as shownQuery.
func quotedName(name string) string {
	if !parameterName.MatchString(name) {
		return "(not shown)"
	}
	return strconv.Quote(name)
}

// shownQuery is the query without values that may be secrets.
func (p *urlParser) shownQuery() string {
	values, err := url.ParseQuery(p.parsed.RawQuery)
	switch {
	case p.parsed.RawQuery == "":
		return ""
	case err != nil:
		return "?" + mask
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		_, known := parameters[name]
		label := name
		if !parameterName.MatchString(name) {
			label = mask
		}
		for _, value := range values[name] {
			if !known || !plainValue.MatchString(value) {
				value = mask
			}
			pairs = append(pairs, label+"="+value)
		}
	}
	if len(pairs) == 0 {
		return "" // "?&" has none
	}
	return "?" + strings.Join(pairs, "&")
}
