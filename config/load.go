package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/dotenv"
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

	// DotEnv is the path of a .env file, "" for none. That there is no such file is
	// fine, as with most programs that know .env; that it cannot be read is an error, and so
	// is a setting that it has twice. Write a value that has a $ in it in single quotes:
	// elsewhere $NAME stands for a variable defined above it in the same file.
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
	if sources.DotEnv != "" && exists(sources.DotEnv) {
		s.loadDotEnv(sources.DotEnv)
	}
	s.loadEnviron(sources.Environ)

	c := s.config()
	if len(s.problems) > 0 {
		return nil, s.problems
	}
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

func (s *settings) loadDotEnv(path string) {
	text, ok := s.readFile(path)
	if !ok {
		return
	}
	variables, ok := parseDotEnv(text)
	if !ok {
		s.faultyFile("%s: line %d is not of the form NAME=value %s", path, badDotEnvLine(text), notShown)
		return
	}
	if line, variable := repeatedVariable(text); line > 0 {
		s.faultyFile("%s: line %d sets %s once more; allowed: once", path, line, variable)
		return
	}
	s.loadVariables(variables, origin{source: path, variables: true}, func(variable string) bool {
		return strings.HasPrefix(variable, limitsVariables) || strings.HasPrefix(variable, redisVariables) || nearVariable(variable) != "" || otherSpelling(variable) != ""
	})
}

func (s *settings) loadEnviron(environ []string) {
	options := env.Opt{}
	if environ != nil {
		options.EnvironFunc = func() []string { return environ }
	}
	variables, err := env.Provider("", options).Read()
	if err != nil {
		s.problemf("the environment: %w", err)
		return
	}
	maps.DeleteFunc(variables, func(variable string, _ any) bool { return s.isForeign(variable, variables) })
	s.loadVariables(variables, origin{source: "the environment", variables: true}, likelyTypo)
}

// isForeign tells a variable of Kubernetes from the one it looks like: it stands alone,
// where a limit has a max or a window as well.
func (s *settings) isForeign(variable string, variables map[string]any) bool {
	key, _ := keyOf(variable)
	name, ok := limitOf(key)
	set := func(field string) bool {
		key := limitKey(name, field)
		value, given := variables[variableOf(key)]
		return given && value != "" || s.merged.Exists(key)
	}
	return ok && isNamedPort(variable) && !set(fieldMax) && !set(fieldWindow)
}

// loadVariables takes the variables that it knows. Of the others, it reports those that
// are wrong here.
func (s *settings) loadVariables(variables map[string]any, from origin, wrong func(variable string) bool) {
	values := map[string]any{}
	for _, variable := range slices.Sorted(maps.Keys(variables)) {
		key, known := keyOf(variable)
		switch {
		case known && variables[variable] != "":
			values[key] = variables[variable]
		case !known && wrong(variable):
			s.unknownVariable(variable, from)
		}
	}
	s.merge(values, from)
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

func (s *settings) unknownVariable(variable string, from origin) {
	hint := "allowed: LIMITS_<NAME>_MAX, LIMITS_<NAME>_WINDOW, LIMITS_<NAME>_BY and LIMITS_<NAME>_SHADOW, with a name of capital letters, digits and underscores"
	near := otherSpelling(variable)
	if near == "" {
		near = nearVariable(variable)
	}
	switch {
	case near != "":
		hint = "did you mean " + near + "?"
	case strings.HasPrefix(variable, redisVariables):
		hint = "allowed: " + strings.Join(variablesOf(sectionRedis), ", ")
	}
	shownVariable := shownName(variable)
	if likelySecret(variable) {
		shownVariable = "a variable " + notShown
	}
	s.problemf("%s in %s is not a known variable; %s", shownVariable, from.source, hint)
}

func (s *settings) unknownKey(key string, from origin) {
	if likelySecret(key) {
		s.problemf("%s has a key %s that is not known", from.source, notShown)
		return
	}
	s.problemf("%s in %s is not a known key; %s", shownName(key), from.source, suggestion(key))
}

// parseDotEnv parses a .env file. The parser takes some lines without "=" for odd
// names, so names are checked.
func parseDotEnv(text []byte) (variables map[string]any, ok bool) {
	variables, err := dotenv.Parser().Unmarshal(text)
	if err != nil {
		return nil, false
	}
	for name := range variables {
		if !variableName.MatchString(name) {
			return nil, false
		}
	}
	return variables, true
}
