package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// api answers what the page asks.
type api struct {
	board     *board
	instances []*instance
	logger    *slog.Logger
}

func (a *api) state(w http.ResponseWriter, _ *http.Request) { a.reply(w, a.board.state()) }

// settings begins anew with other settings.
func (a *api) settings(w http.ResponseWriter, r *http.Request) {
	var s settings
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&s)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, fmt.Sprintf("the body has more than %d bytes", mostBody), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the body is not the JSON of settings: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.validate(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := a.instances[0].reset(r.Context(), s); err != nil { // of all: they share the log
		a.logger.Warn("cannot reset", "error", err)
		http.Error(w, "Redis gives no answer; try again", http.StatusServiceUnavailable)
		return
	}
	a.board.restart(s)
	w.WriteHeader(http.StatusNoContent)
}

// hit is one request to an instance; its answer is that of the limiter in front of it.
func (a *api) hit(w http.ResponseWriter, r *http.Request) {
	if instance := a.instance(w, r); instance != nil {
		instance.app.ServeHTTP(w, r)
	}
}

// wait asks an instance for a place in line.
func (a *api) wait(w http.ResponseWriter, r *http.Request) {
	instance := a.instance(w, r)
	if instance == nil {
		return
	}
	h, err := instance.reserve(r.Context())
	if err != nil {
		a.logger.Warn("cannot reserve", "error", err)
		http.Error(w, "Redis gives no answer; try again", http.StatusServiceUnavailable)
		return
	}
	a.reply(w, h)
}

// instance is that of the path; nil if there is none, which is then answered.
func (a *api) instance(w http.ResponseWriter, r *http.Request) *instance {
	n, err := strconv.Atoi(r.PathValue("instance"))
	if err != nil || n < 0 || n >= len(a.instances) {
		http.Error(w, fmt.Sprintf("instance is %q; allowed: 0 to %d", r.PathValue("instance"), len(a.instances)-1), http.StatusNotFound)
		return nil
	}
	return a.instances[n]
}

func (a *api) reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		a.logger.Debug("client left", "error", err)
	}
}

const (
	heartbeat    = 15 * time.Second
	writeTimeout = 10 * time.Second
)

// events is a stream of server-sent events, each one a message as JSON.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	stream, ok := a.board.subscribe()
	if !ok {
		w.Header().Set("Retry-After", "5")
		http.Error(w, fmt.Sprintf("the playground serves %d streams of events", mostStreams), http.StatusServiceUnavailable)
		return
	}
	defer a.board.unsubscribe(stream)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	write := func(text string) bool {
		if err := control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return false
		}
		if _, err := io.WriteString(w, text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for open := write("retry: 1000\n\n"); open; {
		select {
		case m, more := <-stream:
			if !more {
				return
			}
			text, err := json.Marshal(m)
			if err != nil {
				a.logger.Error("cannot encode", "error", err)
				return
			}
			open = write("data: " + string(text) + "\n\n")
		case <-beat.C:
			open = write(": still here\n\n")
		case <-r.Context().Done():
			return
		}
	}
}
