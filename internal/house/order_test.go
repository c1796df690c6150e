package house_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A call of the Redis store goes one way down, from file to file, and one way back: no file uses
// what one above it declares.
func TestTheWayToRedisHasOneDirection(t *testing.T) {
	uses := usesOfFiles(t, "../../slidingwindow", func(file string) bool {
		return strings.HasPrefix(file, "redis") || file == "refusals.go"
	})
	require.Contains(t, uses["redis.go"], "refusals.go", "uses are found")
	for len(uses) > 0 {
		lowest := ""
		for file, used := range uses {
			if len(used) == 0 {
				lowest = file
			}
		}
		if !assert.NotEmpty(t, lowest, "files that use each other in a ring, or one above such a ring: %v", uses) {
			return
		}
		delete(uses, lowest)
		for _, used := range uses {
			delete(used, lowest)
		}
	}
}

// usesOfFiles tells of each of the files of a package which others declare what it uses.
func usesOfFiles(t *testing.T, folder string, of func(file string) bool) map[string]map[string]bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	fileOf := func(at token.Pos) string { return filepath.Base(fset.Position(at).Filename) }
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	// What other packages declare is not needed, so that it is unknown is no error.
	config := types.Config{Importer: nothing{}, Error: func(error) {}}
	pkg, _ := config.Check(folder, fset, files, info)
	uses := map[string]map[string]bool{}
	for id, object := range info.Uses {
		if user, used := fileOf(id.Pos()), fileOf(object.Pos()); object.Pkg() == pkg && user != used && of(user) && of(used) {
			if uses[used] == nil {
				uses[used] = map[string]bool{}
			}
			if uses[user] == nil {
				uses[user] = map[string]bool{}
			}
			uses[user][used] = true
		}
	}
	require.Greater(t, len(slices.Collect(maps.Keys(uses))), 10, "files")
	return uses
}

type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }
