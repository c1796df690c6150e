package slidingwindow

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// ErrMisconfigured means that Redis answers [RedisStore.Check], but that no decision can be made
// until somebody changes its settings, the rights of its user, or the client's settings. The
// error says which. No other call returns it.
var ErrMisconfigured = errors.New("slidingwindow: redis cannot be used as it is set up")

// checkError is an error of Check in our own words: those of a server may quote a secret.
type checkError struct {
	text  string
	setup bool // it does not pass by itself
}

func (e *checkError) Error() string { return e.text }

func (e *checkError) Is(target error) bool {
	return target == ErrStoreUnavailable || e.setup && target == ErrMisconfigured
}

func newSetupError(addr, why string) error {
	return &checkError{text: "slidingwindow: " + serverName(addr) + " cannot decide: " + why, setup: true}
}

func serverName(addr string) string {
	if addr == "" {
		return "redis"
	}
	return "redis at " + addr
}

// The advice for a server that is not Redis.
const resemblesRedis = "it resembles Redis, but is not; the store needs Redis 7.0 or later, or Valkey 7.2 or later"

// advice says what to do about an error of a server.
type advice struct {
	begins string // without "ERR ", which the client takes off
	words  string
	passes bool // by itself
}

var advices = []advice{
	{"LOADING", "LOADING: it is loading its data; wait until it has", true},
	{"BUSY", "BUSY: a script keeps it busy; wait, or end it with SCRIPT KILL", true},
	{"OOM", "OOM: it has used all of its maxmemory; free some, or raise maxmemory", true},
	{"NOREPLICAS", "NOREPLICAS: fewer replicas follow it than its min-replicas-to-write asks for; bring them back, or lower that setting", true},
	{"MISCONF", "MISCONF: it cannot save its data, and so takes no writes; its log says why", true},
	{"MASTERDOWN", "MASTERDOWN: it is a replica that has lost its master", true},
	{"CLUSTERDOWN", "CLUSTERDOWN: its cluster does not serve all slots; CLUSTER INFO says why", true},
	{"TRYAGAIN", "TRYAGAIN: the slot is being moved; wait until it has", true},
	{"ASK", "ASK: the slot is being moved; wait until it has", true},
	{"max number of clients", "it has as many clients as its maxclients allows", true},
	{"READONLY", "READONLY: it is a replica, which takes no writes; give the client the address of the master, or those of the Sentinels with the master's name", false},
	{"MOVED", "MOVED: it is a node of a Cluster, and the client takes it for a single server; let the client ask for the slots (+cluster|slots, +cluster|shards; no ForceSingleClient)", false},
	{"NOAUTH", "NOAUTH: it asks for a login, and the client has none", false},
	{"WRONGPASS", "WRONGPASS: the user or the password is wrong, or the user is disabled", false},
}

func adviceOn(reply string) (advice, bool) {
	for _, a := range advices {
		if strings.HasPrefix(reply, a.begins) {
			return a, true
		}
	}
	return advice{}, false
}

// verdict is what an error of a trial call means.
type verdict struct {
	err     error
	denied  bool     // instead: the user lacks a right
	rights  []string // which ones, if the server tells
	unknown string   // the command that the server does not know, in capitals; err is set
}

// commandError is an error that trial.lua got for a command.
type commandError struct{ command, reply string }

// commandErrors are the errors that trial.lua reports.
type commandErrors []commandError

func (e commandErrors) Error() string { return "some commands failed" }

var (
	deniedCommand  = regexp.MustCompile(`(?i)run the '([a-z0-9_|-]+)' command`)
	failedScript   = regexp.MustCompile(`(?i)user_script|(?:compiling|running) script`)
	unknownCommand = regexp.MustCompile(`(?i)^(?:unknown|unsupported) command[: ]*['"` + "`" + `]?([a-z0-9_|-]+)`)
)

// verdictOf judges the error of a trial call. An error that is not a reply of a server stays as it
// is: the server is away.
func (l *link) verdictOf(ctx context.Context, addr string, err error) verdict {
	var commands commandErrors
	if errors.As(err, &commands) {
		return l.verdictOfCommands(addr, commands)
	}
	reply, isReply := replyOf(err)
	switch {
	case err == nil:
		return verdict{}
	case errors.Is(err, errNotOurAnswer) || rueidis.IsParseErr(err) || errors.Is(err, rueidis.Nil):
		return verdict{err: newSetupError(addr, "it gives other answers than Redis: "+resemblesRedis)}
	case !isReply:
		return verdict{err: err}
	}
	if a, ok := adviceOn(reply); ok {
		// The clients of Sentinels and of a Cluster find the master by themselves.
		passes := a.passes || a.begins == "READONLY" && l.client.Mode() != rueidis.ClientModeStandalone
		if passes {
			return verdict{err: &checkError{text: "slidingwindow: " + serverName(addr) + " cannot decide now: " + a.words}}
		}
		return verdict{err: newSetupError(addr, a.words)}
	}
	if m := unknownCommand.FindStringSubmatch(reply); m != nil {
		command := strings.ToUpper(m[1])
		return verdict{unknown: command, err: newSetupError(addr, l.whyUnknown(ctx, command))}
	}
	switch {
	case isDenied(reply) && (strings.Contains(reply, "access") && strings.Contains(reply, "key")):
		key := l.prefix + ":{"
		return verdict{err: newSetupError(addr, "the user may not use keys that begin with "+key+"; give it the key pattern ~"+l.prefix+":* by ACL SETUSER, or set the store's prefix to one that it may use")}
	case isDenied(reply):
		if m := deniedCommand.FindStringSubmatch(reply); m != nil {
			return verdict{denied: true, rights: []string{"+" + strings.ToLower(m[1])}}
		}
		return verdict{denied: true}
	case failedScript.MatchString(reply):
		return verdict{err: newSetupError(addr, "it cannot run the script ("+shortReply(reply)+"): "+resemblesRedis)}
	default:
		return verdict{err: newSetupError(addr, "it answers "+shortReply(reply))}
	}
}

// verdictOfCommands judges what trial.lua could not call.
func (l *link) verdictOfCommands(addr string, commands commandErrors) verdict {
	var v verdict
	for _, c := range commands {
		switch {
		case c.command == "struct":
			v.err = newSetupError(addr, "its Lua has no struct.pack as that of Redis: "+resemblesRedis)
			return v
		case isDenied(c.reply):
			v.denied = true
			v.rights = append(v.rights, "+"+strings.ToLower(c.command))
		case strings.Contains(c.reply, "Unknown Redis command"), strings.Contains(c.reply, "Unknown command"):
			v.err = newSetupError(addr, renamed(c.command))
		}
	}
	return v // other errors do not matter, or the calls that follow get them too
}

// isDenied reports whether a user lacks a right. Inside a script Redis 7.0 has other words for it.
func isDenied(reply string) bool {
	return strings.HasPrefix(reply, "NOPERM") || strings.Contains(reply, "ACL failure in script") ||
		strings.Contains(reply, "The user executing the script can't")
}

func lackingRights(addr string, rights []string) error {
	slices.Sort(rights)
	rights = slices.Compact(rights)
	switch len(rights) {
	case 0:
		return newSetupError(addr, "the user lacks a right; ACL LOG says which, ACL SETUSER gives it")
	case 1:
		return newSetupError(addr, "the user lacks the right "+rights[0]+"; ACL SETUSER gives it")
	default:
		return newSetupError(addr, "the user lacks the rights "+strings.Join(rights, " ")+"; ACL SETUSER gives them")
	}
}

// whyUnknown tells why a server does not know a command that the store needs.
func (l *link) whyUnknown(ctx context.Context, command string) string {
	var names []string
	err := l.await(ctx, l.deadline(ctx), func(ctx context.Context) error {
		masters, err := l.client.Do(ctx, l.client.B().Arbitrary("SENTINEL", "MASTERS").Build()).ToArray()
		for _, master := range masters {
			if fields, err := master.AsStrMap(); err == nil {
				names = append(names, fields["name"])
			}
		}
		return err
	})
	if err != nil {
		return renamed(command)
	}
	slices.Sort(names)
	return "it is a Sentinel, which counts nothing; give the client the name of its master as well (" + strings.Join(names, ", ") +
		"): master_set in the URL, or Sentinel.MasterSet in rueidis.ClientOption"
}

func renamed(command string) string {
	return "it does not know the command " + command + ": it was renamed or switched off, or this is not Redis; the store needs that command"
}

// shortReply quotes the beginning of a reply.
func shortReply(reply string) string {
	const most = 160
	if len(reply) > most {
		reply = reply[:most] + "..."
	}
	return strings.ToValidUTF8(`"`+strings.Map(printable, reply)+`"`, "?")
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
