package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLimitsChangeWithoutARestartAndKeepTheirCounts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "limits.yaml")
	settings := func(api, mode string) {
		t.Helper()
		text := "limits:\n  api: {max: " + api + ", mode: " + mode + "}\n"
		require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	settings("3", "enforce")
	i := start(t, onRedis(t, "CONFIG_FILE="+file)...)
	waitForLog := func(text string, times int) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Count(i.log.String(), text) >= times }, time.Minute, time.Millisecond, text)
	}
	use := func(status int, standing string) {
		t.Helper()
		r := i.get(t, "/api/products")
		require.Equal(t, status, r.status)
		require.Contains(t, r.header.Get("RateLimit"), standing)
	}
	for left := 2; left >= 0; left-- {
		use(http.StatusOK, fmt.Sprintf(`"api";r=%d`, left))
	}
	for range 4 { // the last ones without asking Redis
		use(http.StatusTooManyRequests, `"api";r=0`)
	}

	settings("5", "enforce")
	waitForLog("settings changed", 1)
	use(http.StatusOK, `"api";r=1`) // the three from before count

	settings("-1", "enforce")
	waitForLog("settings are not changed", 1)
	use(http.StatusOK, `"api";r=0`)
	use(http.StatusTooManyRequests, `"api";r=0`)

	settings("5", "shadow")
	waitForLog("settings changed", 2)
	assert.Equal(t, http.StatusOK, i.get(t, "/api/products").status)
	settings("5", "off")
	waitForLog("settings changed", 3)
	assert.Equal(t, http.StatusOK, i.get(t, "/api/products").status)
	settings("5", "enforce")
	waitForLog("settings changed", 4)
	use(http.StatusTooManyRequests, `"api";r=0`)
}
