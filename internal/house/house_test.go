package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	root   = "../.."
	module = "github.com/seed-e8747a6b/ratelimit"
)

// goFiles are all Go files of the repository, by folder, as paths from its root.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && rel != ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			dir := filepath.ToSlash(filepath.Dir(rel))
			files[dir] = append(files[dir], filepath.ToSlash(rel))
		}
		return nil
	}))
	require.Greater(t, len(files), 5)
	return files
}

func TestEachDirectoryHasOnePackageDoc(t *testing.T) {
	t.Parallel()
	for dir, files := range goFiles(t) {
		var documented []string
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ParseComments|parser.PackageClauseOnly)
			require.NoError(t, err)
			if parsed.Doc != nil {
				documented = append(documented, file)
				want := "Package " + parsed.Name.Name + " "
				if parsed.Name.Name == "main" {
					want = "Command " + filepath.Base(dir) + " "
				}
				assert.True(t, strings.HasPrefix(parsed.Doc.Text(), want), "%s: the package doc begins with %q", file, want)
			}
		}
		assert.Len(t, documented, 1, "package docs in %s", dir)
	}
}

// within tells whether a folder, or the import path of a package, is top or below it.
func within(path, top string) bool { return path == top || strings.HasPrefix(path, top+"/") }

// Walls: what the files of a folder and of those below it must not import, and why.
func TestDependencyWalls(t *testing.T) {
	t.Parallel()
	for dir, files := range goFiles(t) {
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, spec := range parsed.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				assert.Empty(t, wallAgainst(dir, path), "%s imports %s", file, path)
			}
		}
	}
}

// wallAgainst says why code in the folder must not import the package; "" if it may.
func wallAgainst(dir, path string) string {
	const (
		echo    = "github.com/labstack/echo"
		rueidis = "github.com/redis/rueidis"
		koanf   = "github.com/knadh/koanf"
	)
	walls := map[string][]string{
		"slidingwindow":      {echo, koanf, "net/http", module},                              // for jobs as well as for HTTP
		"echomw":             {rueidis, koanf, module + "/config"},                           // works with any Store
		"internal/httplimit": {echo, rueidis, koanf, module + "/config", module + "/echomw"}, // serves every framework
		"config":             {echo, "net/http", module + "/echomw"},                         // for programs without HTTP too
	}
	for top, banned := range walls {
		if !within(dir, top) || within(path, module+"/"+top) {
			continue
		}
		for _, wall := range banned {
			if within(path, wall) {
				return top + " does not import " + wall
			}
		}
	}

	// These make tests easier to write and are imported by tests only.
	helpers := []string{"internal/httplimit/adaptertest", "internal/redistest", "internal/shardproxy", "integration_test/rediscontainer", "slidingwindow/storetest", "internal/testcert"}
	if slices.ContainsFunc(helpers, func(helper string) bool { return within(dir, helper) }) {
		return ""
	}
	for _, helper := range helpers {
		if within(path, module+"/"+helper) {
			return helper + " is for tests"
		}
	}
	for _, library := range []string{
		"testing", "github.com/stretchr/testify", "github.com/testcontainers", "pgregory.net/rapid",
		"github.com/joho/godotenv", "github.com/anishathalye/porcupine",
	} {
		if within(path, library) {
			return library + " is for tests"
		}
	}
	return ""
}

func TestDependencyWallsHold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dir, path string
		banned    bool
	}{
		{"slidingwindow", "net/http", true},
		{"slidingwindow", "net/http/httptest", true},
		{"slidingwindow", "net", false},
		{"slidingwindow/internal/log", "github.com/labstack/echo/v4", true},
		{"slidingwindow/internal/log", module + "/echomw", true},
		{"slidingwindow", module + "/slidingwindow/internal/log", false},
		{"slidingwindows", "net/http", false},
		{"echomw/keys", "github.com/redis/rueidis", true},
		{"echomw", module + "/config", true},
		{"echomw", module + "/slidingwindow", false},
		{"config/source", module + "/echomw", true},
		{"internal/demo", "testing", true},
		{"internal/demo", "github.com/testcontainers/testcontainers-go", true},
		{"examples/api", module + "/internal/redistest", true},
		{"examples/api", module + "/echomw", false},
		{"slidingwindow/storetest/model", "testing", false},
	} {
		assert.Equal(t, test.banned, wallAgainst(test.dir, test.path) != "", "%s imports %s", test.dir, test.path)
	}
}

// Bad input is an error at construction: see CONTRIBUTING.md.
func TestNothingPanics(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for dir, files := range goFiles(t) {
		for _, top := range []string{"slidingwindow", "echomw", "config"} {
			if !within(dir, top) {
				continue
			}
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				seen[top] = true
				assert.Empty(t, panics(t, filepath.Join(root, file), nil),
					"panics in %s; allowed: in functions named ...WithConfig or Must...", file)
			}
		}
	}
	assert.Len(t, seen, 3, "the folders are where this test looks for them")
}

// panics returns where the file panics outside of the functions that may.
func panics(t *testing.T, name string, source any) []string {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if ok && (strings.HasSuffix(function.Name.Name, "WithConfig") || strings.HasPrefix(function.Name.Name, "Must")) {
			continue
		}
		ast.Inspect(declaration, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				if called, ok := ast.Unparen(call.Fun).(*ast.Ident); ok && called.Name == "panic" {
					found = append(found, files.Position(call.Pos()).String())
				}
			}
			return true
		})
	}
	return found
}

func TestPanicsAreFound(t *testing.T) {
	t.Parallel()
	for source, found := range map[string][]string{
		`func New() { panic("no") }`:                        {"x.go:2:14"},
		`func (limiter) New() { if true { panic("no") } }`:  {"x.go:2:34"},
		`func New() { func() { panic(1) }(); (panic)(2) }`:  {"x.go:2:23", "x.go:2:37"},
		`var handler = func() { panic("no") }`:              {"x.go:2:24"},
		`func NotMustNew() { panic("no") }`:                 {"x.go:2:21"},
		`func WithConfigNew() { panic("no") }`:              {"x.go:2:24"},
		`func RateLimiterWithConfig() { panic("allowed") }`: nil,
		`func MustNew() { panic("allowed") }`:               nil,
		`func New() { log.panic("not the builtin") }`:       nil,
	} {
		assert.Equal(t, found, panics(t, "x.go", "package x\n"+source), source)
	}
}

func TestFilesAreSmall(t *testing.T) {
	t.Parallel()
	for _, files := range goFiles(t) {
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			content, err := os.ReadFile(filepath.Join(root, file))
			require.NoError(t, err)
			assert.LessOrEqual(t, strings.Count(string(content), "\n"), 400, "lines in %s: a file owns one idea", file)
			assert.NotContains(t, []string{"util.go", "utils.go", "helper.go", "helpers.go", "common.go", "misc.go"}, filepath.Base(file))
		}
	}
}

func TestReadmesFirstCodeIsTheQuickstart(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block, "README.md has a Go code block")
	program, err := os.ReadFile(filepath.Join(root, "examples/quickstart/main.go"))
	require.NoError(t, err)
	_, withoutDoc, found := strings.Cut(string(program), "\npackage main\n")
	require.True(t, found)
	assert.Equal(t, "package main\n"+withoutDoc, string(block[1]))
}

// Links to files of the repository, and to their headings, in all of its documents.
func TestDocumentsLinkToFilesThatExist(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^):]*))?\)`)
	links := 0
	for _, document := range documents(t) {
		content, err := os.ReadFile(document)
		require.NoError(t, err)
		text := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(string(content), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			links++
			target, heading := document, match[2]
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(document), match[1])
			}
			_, err := os.Stat(target)
			assert.NoError(t, err, "%s links to %s", document, match[1])
			if heading != "" {
				text, err := os.ReadFile(target)
				require.NoError(t, err)
				assert.Contains(t, anchors(string(text)), heading, "a heading of %s that %s links to", match[1], document)
			}
		}
	}
	assert.Greater(t, links, 50, "the links are written as this test looks for them")
}

func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		found = append(found, paths...)
	}
	return found
}

func TestNoReplaceInGoMod(t *testing.T) {
	t.Parallel()
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	assert.NotRegexp(t, `(?m)^replace\b`, string(gomod), "users' builds would not follow it")
}
