package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
)

// A name that is misspelled in an alert is an alert that never comes.
func TestTheExpressionsNameMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=memory://"}})
	require.NoError(t, err)
	store, err := cfg.Redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	observer, metrics, err := newObserver()
	require.NoError(t, err)
	require.NoError(t, observer.ObserveStore(store))
	observer.Batch(1) // there is no Redis here
	api := newAPI(store, observer, metrics)
	page := ""
	for range 40 { // more than any limit allows
		for _, path := range []string{"/products", "/broken", "/trial"} {
			ask(api, path)
		}
	}
	require.Eventually(t, func() bool { // a call that has to wait may need several tries on a slow machine
		for range 6 {
			ask(api, "/report")
		}
		page = ask(api, "/metrics")
		return strings.Contains(page, "ratelimit_wait_duration")
	}, 60e9, 1e6)

	all, err := queries()
	require.NoError(t, err)
	require.Greater(t, len(all), 10)
	used := map[string]bool{}
	for _, q := range all {
		for _, name := range regexp.MustCompile(`ratelimit_(\w+_)?(total|bucket|count|waiters|units|available)\b`).FindAllString(q.expr, -1) {
			used[name] = true
			assert.True(t, strings.Contains(page, "\n"+name+"{"), "%s: there is no %s", q.of, name)
		}
	}
	assert.Len(t, used, 11, "each instrument is in a query, the utilization twice: %v", used)
}

func ask(handler http.Handler, path string) string {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Body.String()
}
