package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A threat model is worth what holds it: each attack of SECURITY.md names tests, and they
// are in the files that it links to.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(content), "| Attack | What it meets | Tests | Left to you |\n|---|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")

	// Either [`name`](file), or `name` of [`package`](file) and others.
	link := regexp.MustCompile("\\[`(\\w+)`\\]\\(([^)]+\\.go)\\)")
	of := regexp.MustCompile("`(\\w+)` of ")
	rows := 0
	for row := range strings.Lines(table) {
		rows++
		cells := strings.Split(row, " | ")
		require.Len(t, cells, 4, row)
		links := link.FindAllStringSubmatch(cells[2], -1)
		assert.NotEmpty(t, links, "%s names no test", cells[0])
		for _, match := range links {
			name, file := match[1], match[2]
			if shared := of.FindStringSubmatch(cells[2]); shared != nil && filepath.Dir(file) == name {
				name = shared[1]
			}
			source, err := os.ReadFile(filepath.Join(root, file))
			require.NoError(t, err)
			assert.Contains(t, string(source), "\nfunc "+name+"(", "%s is in %s", name, file)
		}
	}
	assert.Greater(t, rows, 10)

	// Every fuzz target is there to hold an attack off.
	fuzz := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	for _, files := range goFiles(t) {
		for _, file := range files {
			source, err := os.ReadFile(filepath.Join(root, file))
			require.NoError(t, err)
			for _, match := range fuzz.FindAllStringSubmatch(string(source), -1) {
				assert.Contains(t, string(content), "`"+match[1]+"`", "%s of %s is in SECURITY.md", match[1], file)
			}
		}
	}
}

// Before v4.16.3 (CVE-2026-118653) Echo's RealIP believed the headers of any client, unless
// it had an IPExtractor: whoever calls it lets clients choose their key. See SECURITY.md.
func TestNothingCallsRealIP(t *testing.T) {
	t.Parallel()
	for _, files := range goFiles(t) {
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				assert.Empty(t, uses(t, filepath.Join(root, file), nil, "RealIP"), "RealIP in %s", file)
			}
		}
	}
	assert.Equal(t, []string{"x.go:2:25", "x.go:2:37"},
		uses(t, "x.go", "package x\nfunc f() { return c.A().RealIP(), c.RealIP; RealIP() }", "RealIP"))
}

// uses returns where the file uses a field or method of that name.
func uses(t *testing.T, name string, source any, of string) []string {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	ast.Inspect(parsed, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == of {
			found = append(found, files.Position(selector.Sel.Pos()).String())
		}
		return true
	})
	return found
}
