package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// model stands for the server of a language model. It streams as many words as the prompt has, and four times that
// many if it is asked to tell a story, and tells at the end what it has used: to it, a token is a word.
type model struct {
	pause time.Duration        // before each word
	each  func(word int) error // called before each word, if it is not nil; an error breaks the answer off

	mu   sync.Mutex
	used map[string]int64 // by the user of the request
}

// ServeHTTP implements http.Handler.
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		User     string `json:"user"`
		Messages []struct {
			Content string `json:"content"`
		} `json:"messages"`
		MaxCompletionTokens int `json:"max_completion_tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Messages) == 0 {
		http.Error(w, "a chat is needed", http.StatusBadRequest)
		return
	}
	prompt := strings.Fields(asked.Messages[0].Content)
	words := len(prompt)
	if words > 0 && prompt[0] == "story" {
		words *= 4
	}
	words = min(words, asked.MaxCompletionTokens)
	w.Header().Set("Content-Type", "text/event-stream")
	for word := range words {
		if m.each != nil {
			if err := m.each(word); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		time.Sleep(m.pause)
		_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"word%d \"}}]}\n\n", word)
		w.(http.Flusher).Flush()
	}
	total := len(prompt) + words
	m.mu.Lock()
	if m.used == nil {
		m.used = map[string]int64{}
	}
	m.used[asked.User] += int64(total)
	m.mu.Unlock()
	_, _ = fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\ndata: [DONE]\n\n",
		len(prompt), words, total)
}

// usedBy is what the answers for a user have used.
func (m *model) usedBy(user string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used[user]
}
