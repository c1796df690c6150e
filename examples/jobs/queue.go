package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// queue gives the jobs out, and notes in which order they were given out and had their places in
// line: all on one counter, so that what came first is certain.
type queue struct {
	begin func() error // called when all lanes are there
	open  chan struct{}

	mu    sync.Mutex
	lanes int // that have not asked for their first job
	jobs  int // that nobody has in hand
	tick  int
	asks  []ask
	err   error // of begin
}

// ask is one time that a job stood in line, or was about to.
type ask struct {
	handed int   // when the job was given out: before its place in line was asked for
	placed int   // when the place was known here; 0 if it is not
	turn   int64 // us, on the clock of Redis
	left   bool  // the place was given back
}

func newQueue(jobs, lanes int, begin func() error) *queue {
	return &queue{begin: begin, open: make(chan struct{}), jobs: jobs, lanes: lanes}
}

// give answers GET with a job, when all lanes are there, or with 204 if there is none.
func (q *queue) give(w http.ResponseWriter, r *http.Request) {
	q.arrive()
	select {
	case <-q.open:
	case <-r.Context().Done():
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		http.Error(w, "no jobs", http.StatusInternalServerError)
		return
	}
	if q.jobs == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	q.jobs--
	q.tick++
	q.asks = append(q.asks, ask{handed: q.tick})
	_, _ = io.WriteString(w, strconv.Itoa(len(q.asks)-1)) // who has left cannot be told
}

// arrive lets the queue begin with the last lane.
func (q *queue) arrive() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lanes == 0 {
		return
	}
	if q.lanes--; q.lanes == 0 {
		q.err = q.begin()
		close(q.open)
	}
}

// takeBack answers POST: a job was not done.
func (q *queue) takeBack(w http.ResponseWriter, _ *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs++
	w.WriteHeader(http.StatusNoContent)
}

// follow notes what a worker tells until its end.
func (q *queue) follow(news io.Reader) error {
	for decoder := json.NewDecoder(news); ; {
		var e event
		switch err := decoder.Decode(&e); err {
		case nil:
			if err := q.note(e); err != nil {
				return err
			}
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

func (q *queue) note(e event) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := strconv.Atoi(e.Job)
	if err != nil || n < 0 || n >= len(q.asks) {
		return strconv.ErrRange
	}
	if e.Turn == 0 {
		q.asks[n].left = true
		return nil
	}
	q.tick++
	q.asks[n].placed, q.asks[n].turn = q.tick, e.Turn
	return nil
}

// granted are the asks that had their turn, or will have it.
func (q *queue) granted() (granted []ask) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range q.asks {
		if a.placed > 0 && !a.left {
			granted = append(granted, a)
		}
	}
	return granted
}
