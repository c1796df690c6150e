package echov5_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What users of both adapters see is the same but for Echo's own types: settings, keys, formats,
// and what is said of them. Change echomw first; this test then says which file to copy.
func TestFilesAreThoseOfEchomw(t *testing.T) {
	t.Parallel()
	toV5 := strings.NewReplacer("package echomw\n", "package echov5\n", "echo.Context", "*echo.Context",
		"labstack/echo/v4", "labstack/echo/v5", "echomw.", "echov5.")
	for _, file := range []string{"config.go", "headers.go", "keys.go", "middleware.go"} {
		v4, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		v5, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, toV5.Replace(string(v4)), string(v5), file)
	}
}
