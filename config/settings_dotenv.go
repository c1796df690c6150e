package config

import (
	"fmt"
	"regexp"
	"strings"
)

// This package reads .env files itself, because the usual libraries silently change values. With
// joho/godotenv, "\"x\"" loses its last quote, "C:\dir" loses its backslash, $(X) and ${X:-y} lose
// what is not a name, an undefined name becomes nothing, and in "x #y #z" only the last word
// is a comment. A line that such tools read alike means the same here; a test checks this. A line
// that they read in different ways is an error.

var (
	envStatement = regexp.MustCompile(`\A[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?:=|:[ \t])`)
	envSingle    = regexp.MustCompile(`(?s)\A'((?:[^'\\]|\\.)*)'`)
	envDouble    = regexp.MustCompile(`(?s)\A"((?:[^"\\]|\\.)*)"`)
	envLineEnd   = regexp.MustCompile(`\A[ \t\r]*(?:#[^\n]*)?(?:\n|\z)`)
	envComment   = regexp.MustCompile(`[ \t]#`)
	envName      = regexp.MustCompile(`\A\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})`)
)

const (
	oddEscape = `has a backslash in double quotes that is not one of \n, \r, \", \\ and \$; allowed: single quotes around the value, where a backslash is nothing special`
	oddQuote  = `has a backslash before a single quote, which programs read in different ways; allowed: double quotes around the value`
	oddDollar = `has a $ that is not $NAME or ${NAME}; allowed: single quotes around the value, where a $ is nothing special`
	oddPlain  = `has \$ without quotes, which programs read in different ways; allowed: single quotes around the value, where a $ is nothing special`
)

// dotEnv is what a .env file says.
type dotEnv struct {
	environ map[string]string

	order  []string // the variables in the order of the file; one that is set twice is here twice
	lines  []int    // the lines of order
	values map[string]string
	faults map[string]string // what is wrong with a value, with its line; the variable is not in values
}

// readDotEnv reads a .env file. faultyLine is the first line that is no assignment, or 0. A fault in a
// value is kept with its variable, because most variables belong to other programs.
func readDotEnv(text string, environ map[string]string) (file *dotEnv, faultyLine int) {
	file = &dotEnv{environ: environ, values: map[string]string{}, faults: map[string]string{}}
	rest := text
	for {
		rest = strings.TrimLeft(rest, " \t\r\n")
		line := 1 + strings.Count(text[:len(text)-len(rest)], "\n")
		if rest == "" {
			return file, 0
		}
		if rest[0] == '#' {
			_, rest, _ = strings.Cut(rest, "\n")
			continue
		}
		statement := envStatement.FindStringSubmatch(rest)
		if statement == nil {
			return file, line
		}
		var ok bool
		if rest, ok = file.assign(statement[1], rest[len(statement[0]):], line); !ok {
			return file, line
		}
	}
}

// assign reads a value, and returns the text after its line.
func (f *dotEnv) assign(name, text string, line int) (rest string, ok bool) {
	value, fault := "", ""
	quoted := strings.TrimLeft(text, " \t")
	if match := envSingle.FindStringSubmatch(quoted); match != nil {
		value, rest = match[1], quoted[len(match[0]):]
		if strings.Contains(value, `\'`) {
			fault = oddQuote
		}
	} else if match := envDouble.FindStringSubmatch(quoted); match != nil {
		rest = quoted[len(match[0]):]
		value, fault = f.expand(name, match[1], true)
	} else if strings.HasPrefix(quoted, "'") || strings.HasPrefix(quoted, `"`) {
		return "", false // it does not end
	} else {
		value, rest, _ = strings.Cut(text, "\n")
		if comment := envComment.FindStringIndex(value); comment != nil {
			value = value[:comment[0]]
		}
		value, fault = f.expand(name, strings.TrimSpace(value), false)
		rest = "\n" + rest
	}
	end := envLineEnd.FindString(rest)
	if end == "" && rest != "" {
		return "", false
	}
	delete(f.values, name)
	delete(f.faults, name)
	switch {
	case fault == "":
		f.values[name] = value
	case strings.HasPrefix(fault, "line "): // of the variable that it refers to
		f.faults[name] = fault
	default:
		f.faults[name] = fmt.Sprintf("line %d %s", line, fault)
	}
	f.order, f.lines = append(f.order, name), append(f.lines, line)
	return rest[len(end):], true
}

// expand replaces the names of variables by their values, and escapes by their characters.
func (f *dotEnv) expand(variable, text string, quoted bool) (value, fault string) {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\\' && quoted:
			escaped := strings.IndexByte(`nr"\$`, text[i+1]) // a backslash is never the last one in quotes
			if escaped < 0 {
				return "", oddEscape
			}
			b.WriteByte("\n\r\"\\$"[escaped])
			i += 2
		case c == '\\' && strings.HasPrefix(text[i+1:], "$"):
			return "", oddPlain
		case c == '$':
			match := envName.FindStringSubmatch(text[i:])
			if match == nil {
				return "", oddDollar
			}
			name := match[1] + match[2]
			known, fault := f.lookup(name)
			if fault != "" {
				return "", fault
			}
			if known == "" {
				return "", undefined(variable, text, name, match[2] != "")
			}
			b.WriteString(known)
			i += len(match[0])
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), ""
}

// lookup is the value of a variable that was set above, or else in the environment.
func (f *dotEnv) lookup(name string) (value, fault string) {
	if value = f.values[name]; value == "" && f.faults[name] == "" {
		value = f.environ[name]
	}
	return value, f.faults[name]
}

// undefined says that a name has no value. It does not show a name that may be a part of a password
// with a $ in it.
func undefined(variable, text, name string, braces bool) string {
	key, ours := keyOf(variable)
	if braces || ours && !isSecret(key) && !strings.Contains(text, "@") {
		return "has $" + name + ", which is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $"
	}
	return "has a $ before the name of a variable that is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $"
}
