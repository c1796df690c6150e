package house_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The code blocks of docs/recipes.md are parts of examples.
func TestRecipesAreExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "recipes.md"))
	require.NoError(t, err)
	var examples strings.Builder
	for _, files := range goFiles(t) {
		for _, file := range files {
			if strings.HasSuffix(file, "example_test.go") {
				source, err := os.ReadFile(filepath.Join(root, file))
				require.NoError(t, err)
				examples.WriteString(unindented(string(source)))
			}
		}
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		assert.Contains(t, examples.String(), unindented(block[1]), "no example has this code")
	}
}
