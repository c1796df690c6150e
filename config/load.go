package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Sources says where to look for settings. The zero value reads the environment of
// the process only.
type Sources struct {
	// YAML is the path of a YAML file, "" for none. A file that is missing or cannot be
	// read is an error.
	YAML string

	// DotEnv is the path of a .env file, "" for none; see the package's documentation for how
	// it is written. That there is no such file is fine, as with most programs that know
	// .env. That it cannot be read is an error, and so is a setting that it has twice.
	DotEnv string

	// Environ is the environment, as "NAME=value" strings; the last one of a name
	// counts. nil stands for os.Environ().
	Environ []string

	// Defaults are the program's own defaults, by key: {"port": 3000,
	// "limits.api.max": 100, "limits.api.window": "15m"}. A value is a string, an
	// integer, a bool or, for a duration, a time.Duration. Every other source
	// overrides them.
	Defaults map[string]any
}

// Load reads the sources, merges them and checks the result. It reports everything
// that is wrong at once: the error has one line for each problem, and its
// Unwrap() []error has them one by one. It matches [ErrInvalid], and fs.ErrNotExist
// and the like for a file that cannot be read. A value is checked only if no other
// source overrides it; its key is checked in any case. What a file with a fault may
// have is not reported as missing.
func Load(sources Sources) (*Config, error) {
	s := &settings{merged: koanf.New("."), origins: map[string]origin{}}
	s.loadDefaults(sources.Defaults)
	if sources.YAML != "" {
		s.loadYAML(sources.YAML)
	}
	environ := s.readEnviron(sources.Environ)
	if sources.DotEnv != "" && exists(sources.DotEnv) {
		s.loadDotEnv(sources.DotEnv, environ)
	}
	s.loadVariables(environ, origin{source: "the environment", variables: true})
	s.judgeVariables()

	c := s.config()
	if len(s.problems) > 0 {
		return nil, s.problems
	}
	c.sources = func() Sources { return sources }
	c.values = s.merged.All
	return c, nil
}

// settings gathers the values of all sources under their keys, the origin of each
// value and all that is wrong.
type settings struct {
	merged   *koanf.Koanf
	origins  map[string]origin
	problems problems

	// A file could not be read. What is missing may be in it.
	incomplete bool

	unknown []unknownVariable // of .env files and the environment
	lists   []string          // what is allowed, as far as an error has told it
}

// unknownVariable is one that is none of ours.
type unknownVariable struct {
	name string
	from origin
}

// origin is where a value comes from.
type origin struct {
	source    string
	variables bool // the source spells keys as variables
}

func (o origin) describe(key string) string {
	if o.variables {
		return key + " (" + variableOf(key) + " in " + o.source + ")"
	}
	return key + " (" + o.source + ")"
}

// faultyFile reports that a file cannot be read or parsed.
func (s *settings) faultyFile(format string, args ...any) {
	s.problemf(format, args...)
	s.incomplete = true
}

func (s *settings) problemf(format string, args ...any) {
	s.problems = append(s.problems, fmt.Errorf(format, args...))
}

// merge lays the values of one source over those of the sources before it. The keys
// have been checked, so values never meet sections.
func (s *settings) merge(values map[string]any, from origin) {
	for key := range values {
		s.origins[key] = from
	}
	if err := s.merged.Load(confmap.Provider(values, "."), nil); err != nil {
		s.problemf("%s: %w", from.source, err)
	}
}

func (s *settings) loadDefaults(defaults map[string]any) {
	from := origin{source: "the program's defaults"}
	values := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		switch value := defaults[key].(type) {
		case string, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, time.Duration, float32, float64, bool:
			if isKey(key) {
				values[key] = value
				continue
			}
			s.unknownKey(key, from)
		default:
			if isKey(key) {
				s.problemf("%s is a %T; allowed: a string, an integer, a bool or, for a duration, a time.Duration", from.describe(key), value)
				continue
			}
			s.unknownKey(key, from)
		}
	}
	s.merge(values, from)
}

func (s *settings) loadYAML(path string) {
	text, ok := s.readFile(path)
	if !ok {
		return
	}
	from := origin{source: path}
	if line, fault := readAsMeant(text); line > 0 {
		s.faultyFile("%s: line %d %s", path, line, fault)
		return
	}
	tree, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		s.faultyFile("%s is not valid YAML: %s", path, withoutContent(err))
		return
	}
	values := map[string]any{}
	s.flatten(tree, "", from, values)
	s.merge(values, from)
}

// loadDotEnv takes what is ours, and is not in the environment, which counts for more.
func (s *settings) loadDotEnv(path string, environ map[string]string) {
	text, ok := s.readFile(path)
	if !ok {
		return
	}
	parsed, faultyLine := readDotEnv(string(text), environ)
	if faultyLine > 0 {
		s.faultyFile("%s: line %d is not of the form NAME=value", path, faultyLine)
		return
	}
	seen := map[string]bool{}
	for i, variable := range parsed.order {
		if _, ours := keyOf(variable); !ours {
			continue
		}
		if seen[variable] {
			s.faultyFile("%s: line %d sets %s once more; allowed: once", path, parsed.lines[i], variable)
			return
		}
		seen[variable] = true
		if fault := parsed.faults[variable]; fault != "" && environ[variable] == "" {
			s.faultyFile("%s: %s", path, fault)
		}
	}
	variables := parsed.values
	for variable := range parsed.faults {
		variables[variable] = "" // there, without a value
	}
	s.loadVariables(variables, origin{source: path, variables: true})
}

func (s *settings) readEnviron(environ []string) map[string]string {
	options := env.Opt{}
	if environ != nil {
		options.EnvironFunc = func() []string { return environ }
	}
	values, err := env.Provider("", options).Read()
	if err != nil {
		s.problemf("the environment: %w", err)
	}
	variables := make(map[string]string, len(values))
	for variable, value := range values {
		variables[variable], _ = value.(string)
	}
	return variables
}

// loadVariables takes the variables that are ours. The others wait for [settings.judgeVariables].
func (s *settings) loadVariables(variables map[string]string, from origin) {
	values := map[string]any{}
	for _, variable := range slices.Sorted(maps.Keys(variables)) {
		key, known := keyOf(variable)
		switch {
		case !known:
			s.unknown = append(s.unknown, unknownVariable{variable, from})
		case variables[variable] != "" && !s.isForeign(key, variables):
			values[key] = variables[variable]
		}
	}
	s.merge(values, from)
}

// isForeign tells a variable of Kubernetes from the one it looks like: it stands alone,
// where a limit has a max or a window as well.
func (s *settings) isForeign(key string, variables map[string]string) bool {
	name, ok := limitOf(key)
	set := func(field string) bool {
		key := limitKey(name, field)
		return variables[variableOf(key)] != "" || s.merged.Exists(key)
	}
	return ok && isNamedPort(variableOf(key)) && !set(fieldMax) && !set(fieldWindow)
}

func (s *settings) readFile(path string) (text []byte, ok bool) {
	text, err := file.Provider(path).ReadBytes()
	if err != nil {
		s.faultyFile("%s cannot be read: %w", path, fileFault(err))
		return nil, false
	}
	// Some editors begin a file with a byte order mark.
	return bytes.TrimPrefix(text, []byte("\ufeff")), true
}

func (s *settings) unknownKey(key string, from origin) {
	s.problemf("%s in %s is not a known key; %s", shownName(key), from.source, s.suggestion(key))
}

// once is a list for a message, unless an earlier message of the same error has it.
func (s *settings) once(list string) string {
	if slices.Contains(s.lists, list) {
		return "what is listed above"
	}
	s.lists = append(s.lists, list)
	return list
}

// fileFault is the reason that a file cannot be read, without its path, which the
// message has already.
func fileFault(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// exists reports whether there is a file, readable or not.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// ErrInvalid is matched by every error of [Load] and [Config.Limit].
var ErrInvalid = errors.New("config: invalid configuration")

// problems is what is wrong with a configuration, one error for each thing. It has no
// heading, so that each line of its text stands for itself.
type problems []error

func (p problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

func (p problems) Unwrap() []error { return p }

func (p problems) Is(target error) bool { return target == ErrInvalid }
