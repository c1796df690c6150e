package house_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	root   = "../.."
	module = "github.com/seed-e8747a6b/ratelimit/"
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

// Walls: what a package's own files must not import, and why.
func TestDependencyWalls(t *testing.T) {
	t.Parallel()
	const (
		echo    = "github.com/labstack/echo"
		rueidis = "github.com/redis/rueidis"
		koanf   = "github.com/knadh/koanf"
	)
	testLibraries := []string{"testing", "github.com/stretchr/testify", "github.com/testcontainers", "pgregory.net/rapid", "github.com/dunglas/httpsfv"}
	walls := map[string][]string{
		"slidingwindow": {echo, koanf, "net/http", module},     // for jobs as well as for HTTP
		"echomw":        {rueidis, koanf, module + "config"},   // works with any Store
		"config":        {echo, "net/http", module + "echomw"}, // for programs without HTTP too
	}
	// These make tests easier to write and are imported by tests only.
	forTests := map[string]bool{"internal/rediscontainer": true, "internal/redistest": true, "internal/storetest": true}

	for dir, files := range goFiles(t) {
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, spec := range parsed.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				for _, banned := range walls[dir] {
					assert.False(t, strings.HasPrefix(path, banned), "%s imports %s", file, path)
				}
				for _, banned := range testLibraries {
					assert.False(t, strings.HasPrefix(path, banned) && !forTests[dir], "%s imports %s, which is for tests", file, path)
				}
				assert.False(t, forTests[strings.TrimPrefix(path, module)] && !forTests[dir], "%s imports %s, which is for tests", file, path)
			}
		}
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

// Links to files of the repository, in all of its documents.
func TestDocumentsLinkToFilesThatExist(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob(filepath.Join(root, "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, documents)
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, document := range documents {
		content, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, match := range link.FindAllStringSubmatch(string(content), -1) {
			_, err := os.Stat(filepath.Join(root, match[1]))
			assert.NoError(t, err, "%s links to %s", filepath.Base(document), match[1])
		}
	}
}

func TestNoReplaceInGoMod(t *testing.T) {
	t.Parallel()
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	assert.NotRegexp(t, `(?m)^replace\b`, string(gomod), "users' builds would not follow it")
}
