package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// bench is a gateway with real Redis behind it, and a model, each on a server of HTTP.
type bench struct {
	model    *model
	upstream *httptest.Server    // the model's
	asked    chan map[string]any // bodies that the model got
	gateway  string
	over     chan struct{} // one for each request whose context has ended
	prefix   string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{model: &model{}, asked: make(chan map[string]any, 100), over: make(chan struct{}, 100)}
	b.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		var asked map[string]any
		assert.NoError(t, json.Unmarshal(body, &asked))
		b.asked <- asked
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		b.model.ServeHTTP(w, r)
	}))
	t.Cleanup(b.upstream.Close)
	client := redistest.Client(t)
	b.prefix = redistest.Prefix(t, client)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: b.prefix, Timeout: 30 * time.Second})
	require.NoError(t, err)
	handler, err := newGateway(store, &settings{
		upstream: b.upstream.URL, keys: []string{"sk-ada", "sk-bert"}, secret: []byte("sixteen bytes or more"),
		requests: 3, tokens: 1000, window: time.Hour,
	})
	require.NoError(t, err)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { b.over <- struct{}{} })
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(gateway.Close)
	b.gateway = gateway.URL
	return b
}

func (b *bench) client(s script) *client {
	return &client{script: s, gateway: b.gateway, statuses: map[int]int{}}
}

// ask makes one call and returns its response, read.
func (b *bench) ask(t *testing.T, name, prompt string, most int64) (resp *http.Response, body string) {
	t.Helper()
	sent, err := json.Marshal(map[string]any{
		"user": name, "max_completion_tokens": most, "temperature": 0.5, "messages": []map[string]string{{"content": prompt}},
	})
	require.NoError(t, err)
	resp, err = b.client(script{name: name}).send(t.Context(), http.MethodPost, "/v1/chat/completions", sent)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

// counted is what the limiter counts for a client.
func (b *bench) counted(t *testing.T, name string) (ofRequests, ofTokens int64) {
	t.Helper()
	c := b.client(script{name: name})
	ofRequests, err := c.inLog(t.Context(), requests)
	require.NoError(t, err)
	ofTokens, err = c.inLog(t.Context(), tokens)
	require.NoError(t, err)
	return ofRequests, ofTokens
}

func TestAnswersAreSettledByTheirTrueCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	resp, body := b.ask(t, "ada", "tell me in four words", 700)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, 5, strings.Count(body, `"content"`), body)
	assert.Contains(t, body, "data: [DONE]")
	assert.EqualValues(t, 10, b.model.usedBy("ada"), "5 words of the prompt, and 5 of the answer")
	gotRequests, gotTokens := b.counted(t, "ada")
	assert.EqualValues(t, 1, gotRequests)
	assert.EqualValues(t, 10, gotTokens)
	assert.InDelta(t, 0.5, (<-b.asked)["temperature"], 0, "the rest of the body is passed on")

	// More than was taken: 400 words are 200 tokens by their length.
	b.ask(t, "bert", strings.Repeat("a ", 400), 100)
	_, gotTokens = b.counted(t, "bert")
	assert.EqualValues(t, 500, gotTokens)
	_, gotTokens = b.counted(t, "ada")
	assert.EqualValues(t, 10, gotTokens, "each key has its own")
}

// The client has left while the model answers; the end of the answer tells what it used.
func TestAClientThatHangsUpIsSettled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	goOn := make(chan struct{})
	b.model.each = func(word int) error {
		if word == 3 {
			<-goOn
		}
		return nil
	}
	emil := b.client(script{name: "ada", calls: 1, prompt: "story of a client that hangs up", most: 900, hangsUp: true})
	require.NoError(t, emil.call(t.Context()))
	<-b.over
	_, gotTokens := b.counted(t, "ada")
	require.Greater(t, gotTokens, int64(900), "the estimate, while the model is not done")
	close(goOn)
	require.Eventually(t, func() bool {
		_, gotTokens = b.counted(t, "ada")
		return gotTokens == 35
	}, time.Minute, 10*time.Millisecond, "7 words and 28")
	assert.EqualValues(t, 35, b.model.usedBy("ada"))
	gotRequests, _ := b.counted(t, "ada")
	assert.EqualValues(t, 1, gotRequests)
}

func TestAModelThatBreaksOffIsCountedByWhatItSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.model.each = func(word int) error {
		if word == 3 {
			return errors.New("out of memory")
		}
		return nil
	}
	c := b.client(script{name: "ada", prompt: "one two three four five six", most: 500})
	require.Error(t, c.call(t.Context()), "the client is told that the answer is not whole")
	require.Equal(t, 1, c.statuses[http.StatusOK])
	require.Eventually(t, func() bool {
		_, gotTokens := b.counted(t, "ada")
		return gotTokens == 7+3 // 27 bytes, and 3 pieces
	}, time.Minute, 10*time.Millisecond)
}

func TestAModelThatDoesNotAnswerCostsNoTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.upstream.Close()
	resp, _ := b.ask(t, "bert", "hello", 500)
	assert.Equal(t, http.StatusBadGateway, resp.StatusCode)
	gotRequests, gotTokens := b.counted(t, "bert")
	assert.EqualValues(t, 1, gotRequests)
	assert.Zero(t, gotTokens)
}

func TestEstimatesAboveTheLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	resp, _ := b.ask(t, "ada", strings.Repeat("word ", 80), 1_000_000) // 400 bytes
	require.Equal(t, http.StatusOK, resp.StatusCode)
	assert.InDelta(t, 900, (<-b.asked)["max_completion_tokens"], 0, "the model is told how long the answer may be")
	assert.Equal(t, "0", resp.Header.Get("x-ratelimit-remaining-tokens"), "while it answers")

	resp, body := b.ask(t, "bert", strings.Repeat("word ", 800), 1) // 4000 bytes
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	assert.Contains(t, body, "about 1001 tokens at least; allowed: 1000")
	gotRequests, gotTokens := b.counted(t, "bert")
	assert.Zero(t, gotRequests+gotTokens, "nothing was taken")
	assert.Empty(t, b.asked)
}

func TestBadChatsAreRefusedBeforeTheLimiter(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, body := range []string{"", "[]", "{}", `{"messages":[]}`, `{"messages":[{"content":"a"}],"max_completion_tokens":-1}`, `{"messages":7}`} {
		resp, err := b.client(script{name: "ada"}).send(t.Context(), http.MethodPost, "/v1/chat/completions", []byte(body))
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, body)
	}
	resp, err := b.client(script{name: "ada"}).send(t.Context(), http.MethodPost, "/v1/chat/completions", make([]byte, maxBody+1))
	require.NoError(t, err)
	_ = resp.Body.Close()
	assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	resp, _ = b.ask(t, "stranger", "hello", 1)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	gotRequests, gotTokens := b.counted(t, "ada")
	assert.Zero(t, gotRequests+gotTokens)
}

func TestFieldsOfBothForms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	resp, _ := b.ask(t, "ada", "four", 99)
	for field, want := range map[string]string{
		"x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "2", "x-ratelimit-reset-requests": "1h0m0s",
		"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "1h0m0s",
		"RateLimit-Policy": `"requests";q=3;w=3600, "tokens";q=1000;qu="tokens";w=3600`,
		"RateLimit":        `"requests";r=2;t=3600, "tokens";r=900;t=3600`,
	} {
		assert.Equal(t, want, resp.Header.Get(field), field)
	}

	b.ask(t, "ada", "four", 99)
	b.ask(t, "ada", "four", 99)
	resp, body := b.ask(t, "ada", "four", 99)
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	assert.Equal(t, "0", resp.Header.Get("x-ratelimit-remaining-requests"))
	assert.Equal(t, "994", resp.Header.Get("x-ratelimit-remaining-tokens"), "three calls of a word and its answer")
	assert.NotEmpty(t, resp.Header.Get("Retry-After"))
	var refusal struct {
		Error struct{ Message, Type, Code string }
	}
	require.NoError(t, json.NewDecoder(bufio.NewReader(strings.NewReader(body))).Decode(&refusal))
	assert.Equal(t, "rate_limit_exceeded", refusal.Error.Code)
	assert.Equal(t, "requests", refusal.Error.Type)
	assert.Contains(t, refusal.Error.Message, "Rate limit of 3 requests in 1h0m0s reached. Please try again in ")

	// By tokens: 600 are taken, and the model has not said yet that it needs less.
	entered, goOn := make(chan struct{}, 1), make(chan struct{})
	b.model.each = func(int) error {
		entered <- struct{}{}
		<-goOn
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.ask(t, "bert", "four", 599)
	}()
	<-entered
	resp, body = b.ask(t, "bert", "four", 599)
	assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	assert.Contains(t, body, "Rate limit of 1000 tokens")
	assert.Equal(t, "2", resp.Header.Get("x-ratelimit-remaining-requests"), "a refusal takes nothing")
	close(goOn)
	<-done
	resp, _ = b.ask(t, "bert", "four", 599)
	assert.Equal(t, http.StatusOK, resp.StatusCode, "what was not needed is free again")
}

func TestNoAPIKeyReachesRedis(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ask(t, "ada", "hello", 1)
	client := redistest.Client(t)
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern(b.prefix+"*").Build()).AsStrSlice()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	assert.NotContains(t, strings.Join(keys, " "), "sk-ada")
}
