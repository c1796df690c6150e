package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// answerTimeout bounds an answer of the model, also for a client that has left.
const answerTimeout = 5 * time.Minute

// complete passes the chat on and the answer back, and then settles what was taken for it.
func (g *gateway) complete(c echo.Context) error {
	// The client's leaving ends the context of the request. The model goes on all the same, and
	// the end of its answer tells what it used.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), answerTimeout)
	defer cancel()
	d, decided := echomw.FromContext(c)
	key, _ := echomw.KeyFromContext(c)
	if decided {
		tellLimits(c.Response().Header(), &d)
	}
	used, err := g.relay(ctx, c)
	if decided {
		if failed := g.limiter.Settle(ctx, key, d, slidingwindow.Cost{tokens: used}); failed != nil {
			slog.Warn("the estimate stays until it has left the window", "error", failed)
		}
	}
	if errors.Is(err, errBrokeOff) {
		panic(http.ErrAbortHandler) // net/http's way to tell the client, which has the status already
	}
	return err
}

var errBrokeOff = errors.New("the model broke off")

// relay streams the model's answer to the client, as far as there is one, and returns how many tokens the model
// has used.
func (g *gateway) relay(ctx context.Context, c echo.Context) (used int64, err error) {
	asked := chatOf(c)
	body, err := asked.upstream()
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.upstream+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, echo.NewHTTPError(http.StatusBadGateway, "the model does not answer").SetInternal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return 0, echo.NewHTTPError(http.StatusBadGateway, fmt.Sprintf("the model answers %d", answer.StatusCode))
	}

	c.Response().Header().Set(echo.HeaderContentType, "text/event-stream")
	c.Response().WriteHeader(http.StatusOK)
	usage := usage{prompt: asked.promptTokens()}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		usage.note(lines.Bytes())
		// It fails when the client has left: what it was to get is read all the same.
		if _, failed := fmt.Fprintf(c.Response(), "%s\n", lines.Bytes()); failed == nil {
			c.Response().Flush()
		}
	}
	if err := lines.Err(); err != nil {
		return usage.total(), fmt.Errorf("%w: %w", errBrokeOff, err)
	}
	return usage.total(), nil
}

// usage is what an answer has used: what the model tells at its end, and until then what was seen.
type usage struct {
	prompt int64 // estimated
	pieces int64 // of the answer; a piece is a token
	told   int64
}

// note reads a line of the answer.
func (u *usage) note(line []byte) {
	data, isData := bytes.CutPrefix(line, []byte("data: "))
	if !isData {
		return
	}
	var event struct {
		Choices []struct{} `json:"choices"`
		Usage   *struct {
			TotalTokens int64 `json:"total_tokens"`
		} `json:"usage"`
	}
	if json.Unmarshal(data, &event) != nil {
		return // [DONE]
	}
	u.pieces += int64(len(event.Choices))
	if event.Usage != nil {
		u.told = event.Usage.TotalTokens
	}
}

func (u *usage) total() int64 {
	if u.told > 0 {
		return u.told
	}
	return u.prompt + u.pieces
}
