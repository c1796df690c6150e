package httplimit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
)

// The problem type of draft-ietf-httpapi-ratelimit-headers-11, an
// application/problem+json of RFC 9457.
const (
	problemMediaType = "application/problem+json"
	problemType      = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	problemTitle     = "Quota Exceeded"
)

// Problem is the default body of a refusal, as RFC 9457 has it.
type Problem struct {
	Type             string   `json:"type"`
	Title            string   `json:"title"`
	Status           int      `json:"status"`
	Detail           string   `json:"detail"`
	ViolatedPolicies []string `json:"violated-policies,omitempty"`
}

// defaultBody is the default Message of a refusal. Which body is written is up to the
// HTTPErrorHandler: the media type is that of the problem only if the problem is the body, and
// not a part of it.
type defaultBody struct {
	problem Problem
	text    []byte // of the problem, as JSON
	encoded atomic.Bool
}

func newDefaultBody(p Problem) *defaultBody {
	text, _ := json.Marshal(p) // text and a number cannot fail
	return &defaultBody{problem: p, text: text}
}

// MarshalJSON implements [json.Marshaler]. It may be called for a log as well.
func (b *defaultBody) MarshalJSON() ([]byte, error) {
	b.encoded.Store(true)
	return b.text, nil
}

// String keeps the document out of log lines: errors of Echo print their message.
func (b *defaultBody) String() string { return fmt.Sprint(b.problem.Title, ". ", b.problem.Detail) }

// sendWithType sets the media type of the response to c, if this body is written to it.
func sendWithType[C any](f *Framework[C], c C, b *defaultBody) {
	w := f.Writer(c) //nolint:bodyclose // a writer, and no response of a client
	if w == nil {
		return
	}
	header := f.Response(c).Header()
	header.Del("Content-Type") // what it has from now on is that of the body
	f.Before(c, func() {
		// The framework has just encoded a body with this one in it, and writes it next.
		if b.encoded.Load() && header.Get("Content-Type") == "application/json" {
			*w = &bodyTyper{ResponseWriter: *w, slot: w, body: b}
		}
	})
}

// bodyTyper holds the header back until it sees the body.
type bodyTyper struct {
	http.ResponseWriter
	slot   *http.ResponseWriter // where the framework's response has this writer
	body   *defaultBody
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *bodyTyper) WriteHeader(status int) { w.status = status }

// Write implements [http.ResponseWriter].
func (w *bodyTyper) Write(body []byte) (int, error) {
	if w.body.is(body) {
		w.Header().Set("Content-Type", problemMediaType)
	}
	w.release()
	return w.ResponseWriter.Write(body)
}

// FlushError is what [http.ResponseController] calls.
func (w *bodyTyper) FlushError() error {
	w.release()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *bodyTyper) release() {
	*w.slot = w.ResponseWriter
	w.ResponseWriter.WriteHeader(w.status)
}

func (b *defaultBody) is(body []byte) bool {
	if bytes.Equal(bytes.TrimSpace(body), b.text) {
		return true
	}
	var compact bytes.Buffer // Echo indents on demand
	return json.Compact(&compact, body) == nil && bytes.Equal(compact.Bytes(), b.text)
}
