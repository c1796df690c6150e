package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var twoOfFour = round{title: "Everything", limit: "api", max: 2, window: time.Minute, method: "GET", path: "/x", requests: 4}

// oneQuota is what instances with one quota answer.
func oneQuota() []answer {
	return []answer{
		{instance: "A", status: 200, remaining: "1"},
		{instance: "B", status: 200, remaining: "0"},
		{instance: "A", status: 429, remaining: "0", retryAfter: "60"},
		{instance: "B", status: 429, remaining: "0", retryAfter: "59"},
	}
}

func TestCheckTakesOneQuota(t *testing.T) {
	t.Parallel()
	assert.NoError(t, twoOfFour.check(oneQuota()))
}

func TestCheckTakesNothingElse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func([]answer)
		want  string
	}{
		"refused too early":      {func(a []answer) { a[1].status = 429 }, "request 2, to instance B: status 429, should be 200 with a limit of 2"},
		"refused too late":       {func(a []answer) { a[2].status = 200 }, "request 3, to instance A: status 200, should be 429"},
		"a quota each":           {func(a []answer) { a[1].remaining = "1" }, `request 2, to instance B: "1" remaining, should be 0`},
		"no header":              {func(a []answer) { a[0].remaining = "" }, `"" remaining`},
		"let in again":           {func(a []answer) { a[3].status = 200 }, "request 4"},
		"an error":               {func(a []answer) { a[0].status = 503 }, "status 503"},
		"no Retry-After":         {func(a []answer) { a[2].retryAfter = "" }, `Retry-After is ""`},
		"retry at once":          {func(a []answer) { a[3].retryAfter = "0" }, `Retry-After is "0", should be 1 to 60`},
		"retry after the window": {func(a []answer) { a[3].retryAfter = "61" }, `Retry-After is "61"`},
	} {
		answers := oneQuota()
		test.spoil(answers)
		err := twoOfFour.check(answers)
		assert.ErrorContains(t, err, test.want, name)
	}
	assert.ErrorContains(t, twoOfFour.check(oneQuota()[:3]), "3 of 4 requests were answered")
}

func TestRemaining(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	header.Add("RateLimit", `"api";r=9;t=60`)
	header.Add("RateLimit", `"api2";r=3, "login";t=5;r=4`)
	assert.Equal(t, "9", remaining(header, "api"))
	assert.Equal(t, "4", remaining(header, "login"))
	assert.Empty(t, remaining(header, "none"))
	assert.Empty(t, remaining(http.Header{}, "api"))
}
