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

	assignment = regexp.MustCompile(`^[ \t]*(?:export[ \t]+)?([A-Z0-9_]+)[ \t]*[=:]`)

	// What the YAML parser quotes may be part of a password. From the first quote to
	// the last one of a line, as the content may have quotes of its own.
	quotedContent = regexp.MustCompile("`.*`|\".{2,}\"|'.{2,}'")
	typeFault     = regexp.MustCompile(`(?s)cannot (unmarshal|decode) .*`)
	knownTag      = regexp.MustCompile(`^cannot (unmarshal|decode) !!(binary|bool|float|int|map|merge|null|seq|str|timestamp)( \(not shown\))? (into|as) `)
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
	text = withoutTags(text)
	return strings.Join(strings.Fields(text), " ")
}

// withoutTags is the text without the tags that are not YAML's own: "!redis://..." is one.
func withoutTags(text string) string {
	at := typeFault.FindStringIndex(text)
	if at == nil {
		return text
	}
	own := knownTag.FindString(text[at[0]:])
	if own == "" {
		return text[:at[0]] + "cannot read a value with a tag (not shown)"
	}
	end := at[0] + len(own)
	return text[:end] + withoutTags(text[end:])
}

// exists reports whether there is a file, readable or not.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
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

// repeatedVariable returns the line of a well-formed .env file that gives one of our
// variables a second value, and the variable; or 0. The parser takes the last one.
func repeatedVariable(text []byte) (line int, variable string) {
	seen := map[string]bool{}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n, content := range lines {
		match := assignment.FindSubmatch(content)
		if match == nil {
			continue
		}
		name := string(match[1])
		if _, ours := keyOf(name); !ours {
			continue
		}
		// A line that begins like this may still be in the middle of a quoted value.
		if _, begins := parseDotEnv(bytes.Join(lines[:n], nil)); !begins {
			continue
		}
		if seen[name] {
			return n + 1, name
		}
		seen[name] = true
	}
	return 0, ""
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
			s.problemf("%s in %s is a key with a dot in it; write a section in its place", shownName(key), from.source)
		case path == sectionLimits && !isLimitName(name):
			s.problemf("%s in %s has a name that is not allowed for a limit; allowed: %s", shownName(key), from.source, limitNameRule)
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
