package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

const (
	oddNumber = "has a number with a plus sign, a leading zero or an underscore, which YAML may take for another one; allowed: decimal digits only"
	oddKey    = "has a key that YAML takes for a number, a truth value or nothing; allowed: a name, in quotes if need be"
)

var documentEnd = regexp.MustCompile(`(?m)^\.\.\.`)

// readAsMeant reports what a YAML file has that its parser takes for something else, or
// leaves out, without a word: 0 if there is nothing, else the line. A file that is not
// valid has nothing: the parser says what is wrong.
func readAsMeant(text []byte) (line int, fault string) {
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

// oddNode looks for numbers and keys that people read in one way and the parser in another:
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

// isPlainKey tells whether the key is the text that it is written as.
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
