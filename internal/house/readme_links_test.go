package house_test

import (
	"cmp"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// anchors are where a link into a document of GitHub's can lead: its headings, in lower
// case, without punctuation, and with hyphens for spaces.
func anchors(markdown string) []string {
	markdown = regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(markdown, "") // # begins a comment there
	punctuation := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	var found []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ +(.+?) *$`).FindAllStringSubmatch(markdown, -1) {
		found = append(found, strings.ReplaceAll(punctuation.ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-"))
	}
	return found
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"title", "a-max-of-0", "see-it-test-it", "keybyip-its-use"},
		anchors("# Title\n\n```sh\n# a comment\n```\n### A Max of 0\n## See it, test it\n#### `KeyByIP`: its use \nno # heading\n"))
}

// Warnings tell where README and the pages of docs say what to do about them.
func TestLinksOfWarningsLeadToAHeading(t *testing.T) {
	t.Parallel()
	links := 0
	link := regexp.MustCompile(regexp.QuoteMeta("https://"+module) + `(?:/blob/main/([\w./-]+\.md))?(?:#([\w-]+))?"`)
	for _, files := range goFiles(t) {
		for _, file := range files {
			source, err := os.ReadFile(filepath.Join(root, file))
			require.NoError(t, err)
			for _, match := range link.FindAllStringSubmatch(string(source), -1) {
				if match[1] == "" && match[2] == "" {
					continue
				}
				links++
				page, err := os.ReadFile(filepath.Join(root, cmp.Or(match[1], "README.md")))
				require.NoError(t, err, "%s links to it", file)
				if match[2] != "" {
					assert.Contains(t, anchors(string(page)), match[2], "a heading of %s that %s links to", match[1], file)
				}
			}
		}
	}
	assert.Greater(t, links, 3, "the links are written as this test looks for them")
}

// A script cannot read a field that the recipe for CORS leaves out.
func TestDocsExposeTheFieldsOfEachFormat(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "echo.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "| | `ExposeHeaders` |\n|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")

	var formats []string
	for row := range strings.Lines(table + "\n") {
		cells := strings.Split(row, "|")
		require.Len(t, cells, 4, row)
		var exposed []string
		for _, field := range regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(cells[2], -1) {
			exposed = append(exposed, http.CanonicalHeaderKey(field[1]))
		}
		for format := range strings.SplitSeq(cells[1], ",") {
			headers, err := echomw.ParseHeaders(format)
			require.NoError(t, err)
			formats = append(formats, headers.String())
			assert.ElementsMatch(t, fieldsOfARefusal(t, headers), exposed, "%v", headers)
		}
	}
	slices.Sort(formats)
	assert.Equal(t, []string{"draft-11", "draft-6", "draft-7", "legacy", "none"}, formats)
}

func fieldsOfARefusal(t *testing.T, headers echomw.Headers) []string {
	t.Helper()
	e := newEcho()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, "told", 1), Headers: headers}))
	require.Equal(t, http.StatusNoContent, get(e).Code)
	refused := get(e)
	require.Equal(t, http.StatusTooManyRequests, refused.Code)
	var fields []string
	for field := range refused.Header() {
		if strings.Contains(field, "Ratelimit") || field == "Retry-After" {
			fields = append(fields, field)
		}
	}
	return fields
}
