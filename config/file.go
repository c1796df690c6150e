package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

var (
	variableName = regexp.MustCompile(`^[A-Za-z0-9_.]+$`)

	// What the YAML parser quotes may be part of a password. From the first quote to
	// the last one of a line, as the content may have quotes of its own.
	quotedContent = regexp.MustCompile("`.*`|\".{2,}\"|'.{2,}'")
	oddNotation   = regexp.MustCompile(`(?m)^[^#\n]*\b(port|max|(refused|no_key|failed)_status|ipv6_prefix)["']?:[ \t]+[-+]?(\+|0[0-9A-Za-z_]|[0-9]+_)`)
	anchorContent = regexp.MustCompile(`(?s)unknown anchor .*`)
)

// fileFault is the reason that a file cannot be read, without its path, which the
// message has already.
func fileFault(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// withoutContent is the text of an error of the YAML parser, without what it quotes
// of the file.
func withoutContent(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = anchorContent.ReplaceAllString(text, "unknown anchor")
	text = quotedContent.ReplaceAllString(text, "(not shown)")
	return strings.Join(strings.Fields(text), " ")
}

// exists reports whether there is a file, readable or not.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// secondDocument returns the line that begins a second document in a YAML file, which
// the parser would leave out without a word, or 0.
func secondDocument(text []byte) int {
	begun := false
	for i, line := range bytes.Split(text, []byte("\n")) {
		separator := bytes.HasPrefix(line, []byte("---")) && (len(line) == 3 || bytes.ContainsRune([]byte(" \t\r"), rune(line[3])))
		content := bytes.TrimSpace(line)
		switch {
		case separator && begun:
			return i + 1
		case separator, len(content) > 0 && content[0] != '#' && content[0] != '%':
			begun = true
		}
	}
	return 0
}

// oddNumber returns the line of a YAML file that has a number of ours in a notation
// that people read in one way and the parser in another (010 is 8, 1_0 is 10, +1 is 1),
// or 0. The parser does not tell how a number was written.
func oddNumber(text []byte) int {
	found := oddNotation.FindIndex(text)
	if found == nil {
		return 0
	}
	return 1 + bytes.Count(text[:found[1]], []byte("\n"))
}

// badDotEnvLine returns the line of a malformed .env file where the fault begins: the
// one after the longest part of the file that is well-formed. A quoted value may
// span lines, so a shorter part may be malformed too.
func badDotEnvLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := len(lines) - 1; n > 0; n-- {
		if _, ok := parseDotEnv(bytes.Join(lines[:n], nil)); ok {
			return n + 1
		}
	}
	return 1
}

// flatten writes the values of a section of a YAML file under their full keys, and
// reports all that does not belong there.
func (s *settings) flatten(section map[string]any, path string, from origin, values map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(section)) {
		key := name
		if path != "" {
			key = path + "." + name
		}
		value := section[name]
		subsection, isSection := asSection(value)
		switch {
		case likelySecret(name):
			s.unknownKey(name, from)
		case strings.Contains(name, "."):
			s.problemf("%s in %s is a key with a dot in it; write a section in its place", key, from.source)
		case path == sectionLimits && !isLimitName(name):
			s.problemf("%s in %s has a name that is not allowed for a limit; allowed: %s", key, from.source, limitNameRule)
		case slices.Contains(sections, key):
			if value != nil && !isSection {
				s.problemf("%s in %s is not a section; allowed: keys indented below it", key, from.source)
				continue
			}
			s.flatten(subsection, key, from, values)
		case path == sectionLimits:
			if len(subsection) == 0 {
				s.problemf("%s in %s is not a section; allowed: max, window, by and shadow, indented below it", key, from.source)
				continue
			}
			s.flatten(subsection, key, from, values)
		case !isKey(key):
			s.unknownKey(key, from)
		default:
			values[key] = value
		}
	}
}

// asSection reads a mapping of a YAML file, whose keys need not be strings.
func asSection(value any) (section map[string]any, ok bool) {
	switch value := value.(type) {
	case map[string]any:
		return value, true
	case map[any]any:
		section = make(map[string]any, len(value))
		for key, item := range value {
			section[fmt.Sprint(key)] = item
		}
		return section, true
	default:
		return nil, false
	}
}
