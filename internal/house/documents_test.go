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

// Each code block in a document is a part of a test, an example or a program, so it compiles.
func TestCodeInDocumentsIsCompiled(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for dir, files := range goFiles(t) {
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || within(dir, "examples") {
				source, err := os.ReadFile(filepath.Join(root, file))
				require.NoError(t, err)
				code.WriteString(unindented(string(source)))
			}
		}
	}
	blocks := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			blocks++
			assert.True(t, strings.Contains(code.String(), unindented(block[1])), "no test or program has this code of %s:\n%s", document, block[1])
		}
	}
	assert.Greater(t, blocks, 20, "the blocks are written as this test looks for them")
}
