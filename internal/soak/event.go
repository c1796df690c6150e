package main

import (
	"bufio"
	"encoding/gob"
	"io"
	"sync"
	"time"
)

type kind uint8

const (
	admitted    kind = iota + 1 // a call was allowed
	refunding                   // before a refund is sent
	resetting                   // before a reset is sent
	resetDone                   // it has happened
	unavailable                 // a call failed with ErrStoreUnavailable
	problem                     // something is wrong, whatever the faults
	counted                     // Counts since the last ones
	ended                       // the last one
)

// event is what a worker tells. Times are in microseconds on the wall clock: it is the same
// for all processes of a machine, and for Redis.
type event struct {
	Kind       kind
	Limiter    int
	Key        string
	ID         uint64 // of the call, or of the reset, in this worker
	Units      int64
	Start, End int64
	Text       string
	Counts     map[string]int64

	// At the end, with everything closed.
	Goroutines int // more than at the start
	Heap       uint64
	PeakHeap   uint64 // before that
}

// What the workers count. Names of errors are counts, too.
const (
	countCalls    = "calls"
	countAllowed  = "allowed"
	countRefused  = "refused"
	countCached   = "cached"
	countPeeks    = "peeks"
	countRefunds  = "refunds"
	countResets   = "resets"
	countHonoured = "honoured" // refusals that were waited out

	errorPrefix      = "error: "
	errorContext     = errorPrefix + "the caller's own context ended"
	errorUnavailable = errorPrefix + "ErrStoreUnavailable"
	errorForeign     = errorPrefix + "ErrForeignData"
	errorOther       = errorPrefix + "of no known type"
)

// stream sends events. It holds them back for a moment, but never what may be given back:
// if a worker is killed, the calls that it has not told of are merely not checked, while a
// refund that nobody knew of would look like a violation.
type stream struct {
	mu      sync.Mutex
	buffer  *bufio.Writer
	encoder *gob.Encoder
	counts  map[string]int64
	lastID  uint64
}

func newStream(w io.Writer) *stream {
	buffer := bufio.NewWriterSize(w, 1<<16)
	return &stream{buffer: buffer, encoder: gob.NewEncoder(buffer), counts: map[string]int64{}}
}

// send fails only if the parent is gone, and then so is this process.
func (s *stream) send(e event) (id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.ID == 0 {
		s.lastID++
		e.ID = s.lastID
	}
	_ = s.encoder.Encode(e)
	if e.Kind == refunding || e.Kind == resetting || e.Kind == ended {
		_ = s.buffer.Flush()
	}
	return e.ID
}

func (s *stream) count(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.counts[name]++
	}
}

// flush sends the counts and all that was held back.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.encoder.Encode(event{Kind: counted, Counts: s.counts})
	s.counts = map[string]int64{}
	_ = s.buffer.Flush()
}

func now() int64 { return time.Now().UnixMicro() }
