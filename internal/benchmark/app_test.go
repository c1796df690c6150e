package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An app whose limiter was not asked would look fast.
func TestEveryAppLimits(t *testing.T) {
	s := newServer(t)
	for _, c := range append(onRedis(), noLimiter()) {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, s.empty(t.Context()))
			d := one(quota{Max: 5, Window: time.Hour})
			app, err := order{Contestant: c.name, Place: s.place, Work: work{Demand: d}}.app(t.Context())
			require.NoError(t, err)
			defer func() { assert.NoError(t, app.end()) }()
			browser := newBrowser(app.addr, 1)
			defer browser.close()
			tally := askInTurn(t.Context(), browser.get, []string{"a", "b"}, 1, 40)
			assert.EqualValues(t, 40, tally.Decisions)
			if c.role == floor {
				assert.EqualValues(t, 40, tally.Admitted)
			} else {
				assert.EqualValues(t, 10, tally.Admitted)
			}
			used, err := app.answer("cpu")
			require.NoError(t, err)
			assert.Positive(t, used)
		})
	}
}

func TestTheBrowserKeepsItsConnections(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{"good": 200, "much": 429, "bad": 500}
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(statuses[r.Header.Get(keyHeader)])
		_, _ = w.Write([]byte("a body\n\nof some lines\n"))
	}))
	connections := make(chan net.Conn, 10)
	app.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections <- c
		}
	}
	app.Start()
	defer app.Close()
	b := newBrowser(app.Listener.Addr().String(), 1)
	defer b.close()
	for range 3 {
		allowed, err := b.get(t.Context(), "good")
		require.NoError(t, err)
		assert.True(t, allowed)
		allowed, err = b.get(t.Context(), "much")
		require.NoError(t, err)
		assert.False(t, allowed)
	}
	assert.Len(t, connections, 1)
	_, err := b.get(t.Context(), "bad")
	assert.ErrorContains(t, err, "500")
	_, err = b.get(t.Context(), "good")
	require.NoError(t, err, "on a new connection")
	assert.Len(t, connections, 2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = newBrowser(app.Listener.Addr().String(), 1).get(ended, "good")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestBadResponses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "EOF",
		"SSH-2.0-server of a long name\r\n": "not an answer",
		"HTTP/1.1 2x0 OK\r\n\r\n":           "invalid syntax",
		"HTTP/1.1 200 OK\r\n\r\n":           "without a Content-Length",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort": "EOF",
	} {
		_, err := readResponse(bufio.NewReader(strings.NewReader(text)))
		assert.ErrorContains(t, err, want, text)
	}
}
