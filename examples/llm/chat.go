package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"
)

// chat is what the gateway reads of a request, in the form of OpenAI's API. It passes on the rest
// of the body as it is.
type chat struct {
	Messages []struct {
		Content string `json:"content"`
	} `json:"messages"`
	MaxCompletionTokens int64 `json:"max_completion_tokens"`

	body map[string]json.RawMessage
}

const (
	maxBody = 4 << 20 // bytes

	usualAnswer = 1000 // tokens that an answer may have if the client names no bound
)

var errBadChat = errors.New("the body must be a JSON object with messages, and max_completion_tokens 0 or more")

func readChat(body io.Reader) (*chat, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var c chat
	if err := json.Unmarshal(text, &c.body); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadChat, err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadChat, err)
	}
	if len(c.Messages) == 0 || c.MaxCompletionTokens < 0 {
		return nil, errBadChat
	}
	if c.MaxCompletionTokens == 0 {
		c.MaxCompletionTokens = usualAnswer
	}
	return &c, nil
}

// promptTokens estimates the prompt: a token is about four bytes of English.
func (c *chat) promptTokens() int64 {
	bytes := 0
	for i := range c.Messages {
		bytes += len(c.Messages[i].Content)
	}
	return int64(bytes+3) / 4
}

// boundTo makes the whole call fit into a limit of so many tokens, by an answer that is shorter. It
// returns the estimate, which is above the limit if the prompt leaves no token for an answer.
func (c *chat) boundTo(limit int64) (estimate int64) {
	prompt := c.promptTokens()
	c.MaxCompletionTokens = max(1, min(c.MaxCompletionTokens, limit-prompt))
	return prompt + c.MaxCompletionTokens
}

// upstream is the body for the model: the client's, with the bound of the answer, and the wish to
// be told the usage at its end.
func (c *chat) upstream() ([]byte, error) {
	c.body["max_completion_tokens"], _ = json.Marshal(c.MaxCompletionTokens)
	c.body["stream"] = json.RawMessage(`true`)
	c.body["stream_options"] = json.RawMessage(`{"include_usage":true}`)
	return json.Marshal(c.body)
}

const chatKey = "chat"

// parse reads the request's chat for the limiter and the handler.
func parse(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		parsed, err := readChat(http.MaxBytesReader(c.Response(), c.Request().Body, maxBody))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return echo.NewHTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body must not have more than %d bytes", tooLarge.Limit))
		}
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, errBadChat.Error()).SetInternal(err)
		}
		c.Set(chatKey, parsed)
		return next(c)
	}
}

func chatOf(c echo.Context) *chat {
	parsed, _ := c.Get(chatKey).(*chat)
	return parsed
}
