package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
)

func TestClientThatWentAwayIsNoError(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	failed := echo.NewHTTPError(http.StatusServiceUnavailable).SetInternal(fmt.Errorf("no decision: %w", context.Canceled))
	for name, test := range map[string]struct {
		ctx    context.Context
		err    error
		logged bool
	}{
		"the client went away":              {gone, failed, false},
		"something else was cancelled":      {t.Context(), failed, true},
		"it went away from what had failed": {gone, echo.ErrServiceUnavailable, true},
	} {
		var log logBuffer
		request := httptest.NewRequestWithContext(test.ctx, http.MethodGet, "/", nil)
		c := echo.New().NewContext(request, httptest.NewRecorder())
		answerError(slog.New(slog.NewTextHandler(&log, nil)))(test.err, c)
		assert.Equal(t, test.logged, log.String() != "", "%s: %s", name, log.String())
	}
}
