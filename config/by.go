package config

import (
	"fmt"
	"slices"
	"strings"
)

const (
	partSeparator = "+"
	hashedPart    = "hashed:"
	headerAddress = "ip:header:" // an address that a proxy puts into a header

	byRule = "ip, ip:header:<name>, route, pattern, header:<name>, cookie:<name>, query:<name>, param:<name> and form:<name>, joined with +, each with or without hashed: before it"
)

var (
	bareParts  = []string{"ip", "route", "pattern"}
	tokenParts = []string{"header", "cookie"} // their names are tokens
	namedParts = []string{"query", "param", "form"}
)

// by returns whom a limit counts, in its canonical form. It judges the syntax: what has
// the values, and Echo with them, is not for this package to know.
func (s *settings) by(key string) string {
	text, ok := s.text(key, byRule)
	if !ok || text == "" {
		return ""
	}
	parts := strings.Split(text, partSeparator)
	hashed := false
	for i, part := range parts {
		part = strings.TrimSpace(part)
		parts[i] = part
		if part == "" {
			s.invalid(key, fmt.Sprintf("part %d is empty", i+1), byRule)
			continue
		}
		rest, isHashed := strings.CutPrefix(part, hashedPart)
		if fault := partFault(rest); fault != "" {
			s.invalid(key, shownPart(part, text)+" "+fault, byRule)
		}
		hashed = hashed || isHashed
	}
	// What is missing may be in a file that cannot be read.
	if hashed && !s.isSet(keySecret) && !s.incomplete {
		s.problemf("%s is %s: hashed: needs %s, which is not set; set %s in the environment to a text of %d bytes or more",
			s.describe(key), shown(text), keySecret, variableOf(keySecret), minSecretBytes)
	}
	return strings.Join(parts, partSeparator)
}

// partFault says what is wrong with a part, without its "hashed:"; "" if nothing is.
func partFault(part string) string {
	if name, ok := strings.CutPrefix(part, headerAddress); ok {
		part = "header:" + name
	}
	kind, name, isNamed := strings.Cut(part, ":")
	takesToken, takesText := slices.Contains(tokenParts, kind), slices.Contains(namedParts, kind)
	switch {
	case slices.Contains(bareParts, kind) && isNamed:
		return "has a colon, and " + kind + " takes no name"
	case slices.Contains(bareParts, kind):
		return ""
	case !takesToken && !takesText:
		return "is not known"
	case name == "":
		return "lacks a name"
	case takesToken && !isToken(name):
		return "has a name that no " + kind + " can have"
	case strings.TrimSpace(name) != name:
		return "has a space before its name"
	}
	return ""
}

// isToken tells whether s is a token (RFC 9110, section 5.6.2), which the names of
// headers and cookies are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
