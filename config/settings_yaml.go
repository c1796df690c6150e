package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	oddNumber = "has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"
	oddKey    = "has a key that YAML takes for a number, a truth value or nothing; allowed: a name, in quotes if need be"
)

var (
	documentEnd = regexp.MustCompile(`(?m)^\.\.\.`)

	// What the YAML parser quotes may be part of a password. From the first quote to
	// the last one of a line, as the content may have quotes of its own.
	quotedContent = regexp.MustCompile("`.*`|\".{2,}\"|'.{2,}'")
	typeFault     = regexp.MustCompile(`(?s)cannot (unmarshal|decode) .*`)
	knownTag      = regexp.MustCompile(`^cannot (unmarshal|decode) !!(binary|bool|float|int|map|merge|null|seq|str|timestamp)( \(not shown\))? (into|as) `)
	anchorContent = regexp.MustCompile(`(?s)unknown anchor .*`)
)

// misread finds what the parser of YAML would silently ignore or read as something else. It returns
// the line, 0 if there is nothing. It finds nothing in a file that is not valid; the
// parser reports such a file.
func misread(text []byte) (line int, fault string) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		return 0, ""
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		line := second.Line
		if end := documentEnd.FindIndex(text); line == 0 && end != nil {
			line = 1 + bytes.Count(text[:end[0]], []byte("\n"))
		}
		return max(1, line), "begins a second YAML document; allowed: one"
	}
	return oddNode(&document)
}

// oddNode finds numbers and keys that people and the parser read in different ways: to the parser
// 010 is 8, 1_0 is 10, and the key 0x10 is "16".
func oddNode(node *yaml.Node) (line int, fault string) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!int" && !isPlainInteger(node.Value) {
		return node.Line, oddNumber
	}
	for i, child := range node.Content {
		if isKey := node.Kind == yaml.MappingNode && i%2 == 0; isKey && !isPlainKey(child) {
			return child.Line, oddKey
		}
		if line, fault := oddNode(child); line > 0 {
			return line, fault
		}
	}
	return 0, ""
}

func isPlainInteger(text string) bool {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.FormatInt(n, 10) == text
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return err == nil && strconv.FormatUint(n, 10) == text
}

// isPlainKey reports whether the parser reads the key as the text that is written.
func isPlainKey(key *yaml.Node) bool {
	if key.Kind != yaml.ScalarNode {
		return true // not valid, or an alias of one that was looked at
	}
	switch key.ShortTag() {
	case "!!int", "!!float", "!!bool":
		var value any
		return key.Decode(&value) == nil && fmt.Sprint(value) == key.Value
	case "!!null":
		return false
	}
	return true
}

// withoutContent is the text of an error of the YAML parser, without the parts of the file that it
// quotes.
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

// flatten writes the values of a section of a YAML file to values under their full keys, and
// reports everything that does not belong there.
func (s *settings) flatten(section map[string]any, path string, from origin, values map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(section)) {
		key := name
		if path != "" {
			key = path + "." + name
		}
		value := section[name]
		subsection, isSection := asSection(value)
		switch {
		case strings.Contains(name, "@"): // a login; its text must not be shown as a section
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
				s.problemf("%s in %s is not a section; allowed: max, window, resolution, by and mode, indented below it", key, from.source)
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
