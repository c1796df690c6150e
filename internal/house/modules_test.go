package house_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What our packages are built of.
var builtOf = []string{
	"github.com/dunglas/httpsfv",
	"github.com/fsnotify/fsnotify", // of koanf's provider of files
	"github.com/go-viper/mapstructure/v2",
	"github.com/hashicorp/golang-lru/v2",
	"github.com/knadh/koanf/maps",
	"github.com/knadh/koanf/parsers/yaml",
	"github.com/knadh/koanf/providers/confmap",
	"github.com/knadh/koanf/providers/env/v2",
	"github.com/knadh/koanf/providers/file",
	"github.com/knadh/koanf/v2",
	"github.com/labstack/echo/v4",
	"github.com/labstack/gommon",
	"github.com/mattn/go-colorable",
	"github.com/mattn/go-isatty",
	"github.com/mitchellh/copystructure",
	"github.com/mitchellh/reflectwalk",
	"github.com/redis/rueidis",
	"github.com/seed-e8747a6b/ratelimit",
	"github.com/valyala/bytebufferpool",
	"github.com/valyala/fasttemplate",
	"go.yaml.in/yaml/v3",
	"golang.org/x/crypto",
	"golang.org/x/net",
	"golang.org/x/sys",
	"golang.org/x/text",
}

// What only tests need, ours and Echo's, is in go.mod all the same: it must be light.
var testedWith = []string{
	"github.com/joho/godotenv",
	"github.com/stretchr/testify",
	"golang.org/x/time",
	"pgregory.net/rapid",
}

// An application that uses all of our packages gets these modules, and no others: each one
// more may raise the version of one that the application has already.
func TestModulesThatAnApplicationInherits(t *testing.T) {
	t.Parallel()
	ours, err := filepath.Abs(root)
	require.NoError(t, err)
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)

	app := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(app, name), []byte(text), 0o600))
	}
	write("go.mod", "module example.com/app\n\ngo 1.26.0\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+ours+"\n")
	write("go.sum", string(sums))
	write("main.go", "package main\n\nimport (\n\t_ \""+module+"/config\"\n\t_ \""+module+"/echomw\"\n\t_ \""+module+"/slidingwindow\"\n)\n\nfunc main() {}\n")

	all := append(slices.Clone(builtOf), testedWith...)
	slices.Sort(all)
	assert.Equal(t, all, listed(t, app, "-m", "-f={{if not .Main}}{{.Path}}{{end}}", "all"))
	assert.Equal(t, builtOf, listed(t, app, "-deps", "-f={{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "."))
}

// listed are the lines of go list in a folder, sorted, each once.
func listed(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	list.Dir = dir
	list.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	return slices.Compact(lines)
}
