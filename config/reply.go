package config

import (
	"errors"
	"strings"

	"github.com/redis/rueidis"
)

// refusal is the error that a server answered the login with.
type refusal string

func (r refusal) Error() string { return string(r) }

// knownReply is an error of a server that we have words for.
type knownReply struct {
	begins string // without "ERR ", which the client takes off
	means  string
	login  bool // the login was refused, and not something else
	passes bool // by itself, as an outage does
}

const unknownCommand = "unknown command"

var knownReplies = []knownReply{
	{"WRONGPASS", "WRONGPASS: the user or the password of REDIS_URL is wrong, or the user is disabled", true, false},
	{"NOAUTH", "NOAUTH: it asks for a login; give one in REDIS_URL", true, false},
	{"NOPERM", "NOPERM: the user lacks a permission", true, false},
	{"AUTH <password> called without any password", "it has no password, and REDIS_URL has one", true, false},
	{"Client sent AUTH, but no password is set", "it has no password, and REDIS_URL has one", true, false},
	{"invalid password", "the password of REDIS_URL is wrong", true, false},
	{"LOADING", "LOADING: it is loading its data", false, true},
	{"MASTERDOWN", "MASTERDOWN: it is a replica that has lost its master", false, true},
	{"CLUSTERDOWN", "CLUSTERDOWN: the cluster does not serve", false, true},
	{"READONLY", "READONLY: it is a replica", false, true},
	{"BUSY", "BUSY: a script keeps it busy", false, true},
	{"DENIED", "DENIED: it is in protected mode, which lets its own computer in only", false, false},
	{"max number of clients", "it has as many clients as it may have", false, true},
	{"DB index is out of range", "DB index is out of range", false, false},
	{"SELECT is not allowed in cluster mode", "SELECT is not allowed in cluster mode", false, false},
	{unknownCommand, "it does not know a command that is needed", false, false},
}

// known finds our words for an error of a server.
func known(reply string) (knownReply, bool) {
	reply = strings.TrimPrefix(reply, "ERR ")
	for _, k := range knownReplies {
		if strings.HasPrefix(reply, k.begins) {
			return k, true
		}
	}
	return knownReply{}, false
}

// isLogin tells a refused login from any other refusal, such as that of a server that
// is still loading its data.
func (r refusal) isLogin() bool {
	k, _ := known(string(r))
	return k.login
}

// serverReply is the error's text if it comes from a server.
func serverReply(err error) (reply string, ok bool) {
	var refused refusal
	var answer *rueidis.RedisError
	switch {
	case errors.As(err, &refused):
		return string(refused), true
	case errors.As(err, &answer):
		return answer.Error(), true
	default:
		return "", false
	}
}

// words tell what the server at an address answered. One that does not know a command may quote it,
// cut off or spelled in another way, so that no search for the login would find it.
// Hence only our own words are shown, or what a server says that got no login.
func (s *server) words(addr, reply string) string {
	if k, ok := known(reply); ok {
		if s.isSentinel(addr) {
			return strings.ReplaceAll(k.means, variableOf(keyURL), variableOf(keySentinelPassword))
		}
		if s.loginApart {
			return strings.ReplaceAll(k.means, variableOf(keyURL), variableOf(keyPassword))
		}
		return k.means
	}
	if s.username != "" || s.password != "" || s.sentinelPassword != "" {
		return "its error is not shown, as it may quote the login"
	}
	return reply
}
