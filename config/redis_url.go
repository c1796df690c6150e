package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	schemeMemory = "memory"
	schemeUnix   = "unix"

	allowedSchemes = "redis://, rediss://, valkey://, valkeys://, unix:// and memory://"

	// A password with an unescaped character breaks a URL in many ways, so every error about
	// the form of a URL has this advice.
	encodeAdvice = "allowed: redis://user:password@host:6379/0, with special characters in the user and the password percent-encoded (% as %25, / as %2F, ? as %3F, # as %23, @ as %40)"

	defaultRedisPort = "6379"
)

// URL is a checked REDIS_URL. It shows "xxxxx" instead of the user and the password, however it is
// printed, logged or marshalled. Only [Load] makes one. The zero value stands for no URL and shows
// itself as "".
type URL struct {
	redacted
	open func() *server
}

// server is what a URL says.
type server struct {
	scheme             string   // redis, rediss, unix or memory
	addrs              []string // host:port each, or the path of the Unix socket
	username, password string
	hasPassword        bool // even if it is empty
	db                 int
	dialTimeout        time.Duration // 0: not given
	writeTimeout       time.Duration // 0: not given
	skipVerify         bool
	resp2              bool
	noCache            bool
	noRetry            bool
	clientName         string
	masterSet          string
	parameters         []string // the names of those that the URL has

	// Settings outside of the URL.
	loginApart                         bool // the password is one of them
	sentinelTLS                        bool
	decision                           time.Duration // how long one may take
	lifetime                           time.Duration // of a connection; 0 stands for the default
	files                              tlsFiles
	sentinelUsername, sentinelPassword string
}

var (
	// Go's URL parser accepts odd characters in a host, and repeats the host in its errors.
	hostName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`)

	// What a message may repeat. No well-chosen password matches it.
	plainValue = regexp.MustCompile(`^[A-Za-z0-9._:/\[\]-]{0,64}$`)
)

// parseURL reads and checks a REDIS_URL. The faults repeat nothing that may belong to the user or the
// password. If these cannot be found in the text, the shown form of the URL is empty.
func parseURL(raw string) (u URL, faults []string) {
	// Only one spelling, so that a search for memory:// finds every use.
	if scheme, rest, _ := strings.Cut(raw, ":"); strings.EqualFold(scheme, schemeMemory) {
		switch rest {
		case "//":
			return URL{redacted: redacted{"memory://"}, open: func() *server { return &server{scheme: schemeMemory} }}, nil
		case "":
			return URL{}, []string{"to limit within this process only, write memory://"}
		default:
			return URL{}, []string{"memory:// takes nothing after it"}
		}
	}
	if fault := stray(raw); fault != "" {
		return URL{}, []string{fault}
	}
	parsed, err := url.Parse(raw)
	if err != nil || strayAt(raw, parsed) {
		// The error would repeat the whole URL.
		return URL{}, []string{"it is not a well-formed URL; " + encodeAdvice}
	}
	if !strings.Contains(raw, "://") || parsed.Scheme == "" {
		return URL{}, []string{"it has no scheme; allowed: " + allowedSchemes}
	}

	p := &urlParser{parsed: parsed}
	switch parsed.Scheme {
	case "redis", "valkey":
		p.server.scheme = "redis"
	case "rediss", "valkeys":
		p.server.scheme = "rediss"
	case schemeUnix:
		p.server.scheme = schemeUnix
	default:
		return URL{}, []string{"scheme " + quoted(parsed.Scheme) + " is not known; allowed: " + allowedSchemes}
	}
	if strings.Contains(raw, "#") {
		p.faultf(`it has a fragment, the part after "#"; %s`, encodeAdvice)
	}
	if parsed.User != nil {
		p.server.username = parsed.User.Username()
		p.server.password, p.server.hasPassword = parsed.User.Password()
	}
	p.address()
	p.path()
	p.query()

	s := p.server
	s.sentinelTLS = s.isTLS() && s.masterSet != ""
	return URL{redacted: redacted{p.shown()}, open: func() *server { return &s }}, p.faults
}

// strayAt reports whether the URL has an "@" other than the one after the login. Then an unescaped
// "/", "?" or "#" in the password has ended the host too early, and the parser would read parts of
// the password as a path, a parameter or a fragment.
func strayAt(raw string, parsed *url.URL) bool {
	if parsed.User == nil {
		return strings.Contains(raw, "@")
	}
	_, rest, _ := strings.Cut(raw, "://")
	end := strings.IndexAny(rest, "/?#")
	return end >= 0 && strings.Contains(rest[end:], "@")
}

// urlParser collects what a URL says and everything that is wrong with it.
type urlParser struct {
	parsed *url.URL
	server server
	faults []string

	dbInPath bool
}

// address reads the host and the port, or the path of a Unix socket.
func (p *urlParser) address() {
	if p.server.scheme == schemeUnix {
		switch {
		case p.parsed.Host != "":
			p.faultf("a Unix socket has no host; allowed: an absolute path after unix://, such as unix:///run/redis.sock")
		case len(p.parsed.Path) < 2 || p.parsed.Path[0] != '/':
			p.faultf("the path of the Unix socket is missing; allowed: an absolute path, such as unix:///run/redis.sock")
		}
		p.server.addrs = []string{p.parsed.Path}
		return
	}
	host, port := p.parsed.Hostname(), p.parsed.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = defaultRedisPort
	}
	if !isHost(host) {
		p.faultf("the host is not a host name or an IP address; give further nodes as ?addr=host:port")
		host = mask
	}
	if !isPort(port) {
		p.faultf("the port is %s; allowed: 1 to 65535", quoted(port))
	}
	p.server.addrs = []string{net.JoinHostPort(host, port)}
}

// path reads the database.
func (p *urlParser) path() {
	path := p.parsed.Path
	if p.server.scheme == schemeUnix || path == "" || path == "/" {
		return
	}
	db, ok := parseDB(strings.TrimPrefix(path, "/"))
	if !ok {
		p.faultf("the path is %s; allowed: the number of a database, such as /0", quoted(path))
		return
	}
	p.server.db, p.dbInPath = db, true
}

func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return hostName.MatchString(host)
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func parseDB(text string) (db int, ok bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil
}

// quoted is a part of the URL for a message.
func quoted(part string) string {
	if !plainValue.MatchString(part) {
		return "(not shown)"
	}
	return strconv.Quote(part)
}

// shown is the URL without secrets. It has only parts that the parser has understood.
func (p *urlParser) shown() string {
	var b strings.Builder
	b.WriteString(p.parsed.Scheme + "://")
	if p.parsed.User != nil {
		b.WriteString(mask + "@")
	}
	if p.server.scheme != schemeUnix && p.parsed.Host != "" {
		if host := p.parsed.Hostname(); isHost(host) || host == "" {
			b.WriteString(p.parsed.Host)
		} else {
			b.WriteString(mask)
		}
	}
	if plainValue.MatchString(p.parsed.Path) {
		b.WriteString(p.parsed.Path)
	} else {
		b.WriteString("/" + mask)
	}
	b.WriteString(p.shownQuery())
	if p.parsed.Fragment != "" {
		b.WriteString("#" + mask)
	}
	return b.String()
}
