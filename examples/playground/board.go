package main

import (
	"slices"
	"sync"
	"time"
)

// What became of a request.
const (
	allowed = "allowed"
	refused = "refused"
	waiting = "waiting" // has a place ahead of now
	failed  = "failed"  // no decision
)

// hit is one request, as the page shows it. Times are in milliseconds.
type hit struct {
	ID           int64  `json:"id"`
	AtMS         int64  `json:"atMs"` // since 1970
	Instance     int    `json:"instance"`
	Outcome      string `json:"outcome"`
	Cost         int64  `json:"cost"`
	DelayMS      int64  `json:"delayMs"` // of a place ahead of now
	Remaining    int64  `json:"remaining"`
	RetryAfterMS int64  `json:"retryAfterMs"`
	Fixed        string `json:"fixed"` // what a fixed window made of it; "" if it was not asked
	FixedEndsMS  int64  `json:"fixedEndsMs"`
}

// counts are by what became of the requests.
type counts map[string]int64

// snapshot is everything that the page shows.
type snapshot struct {
	NowMS     int64    `json:"nowMs"`
	Settings  settings `json:"settings"`
	Shared    bool     `json:"shared"` // the log is in Redis
	Instances []counts `json:"instances"`
	Fixed     counts   `json:"fixed"`
	Hits      []hit    `json:"hits"` // the newest, oldest first
}

// message is what a stream of events carries: a snapshot, or one hit after it.
type message struct {
	Snapshot *snapshot `json:"snapshot,omitempty"`
	Hit      *hit      `json:"hit,omitempty"`
}

const (
	mostHits    = 1000 // that a snapshot holds
	mostStreams = 8
	streamRoom  = 256 // messages that a slow reader may be behind
)

// board counts the requests and tells the open pages of each. It is safe for concurrent use.
type board struct {
	lock      sync.Mutex
	settings  settings
	shared    bool
	instances []counts
	fixed     fixedWindow
	fixedSum  counts
	hits      []hit
	lastID    int64
	streams   map[chan message]struct{}
	closed    bool
}

func newBoard(s settings) *board {
	return &board{settings: s, streams: map[chan message]struct{}{}}
}

// begin says how many instances there are, before the first request.
func (b *board) begin(instances int, shared bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.instances, b.shared = make([]counts, instances), shared
	b.clear()
}

func (b *board) clear() {
	for i := range b.instances {
		b.instances[i] = counts{allowed: 0, refused: 0, waiting: 0, failed: 0}
	}
	b.fixed, b.fixedSum, b.hits = fixedWindow{}, counts{allowed: 0, refused: 0}, nil
}

func (b *board) current() settings {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.settings
}

// restart forgets all requests and goes on with these settings.
func (b *board) restart(s settings) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.settings = s
	b.clear()
	snap := b.snapshot()
	b.send(message{Snapshot: &snap})
}

// record counts a hit, whose ID and time it sets. compare also puts it to the fixed window.
func (b *board) record(h hit, compare bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	now := time.Now()
	b.lastID++
	h.ID, h.AtMS = b.lastID, now.UnixMilli()
	if compare {
		h.Fixed = refused
		if b.fixed.take(now, b.settings) {
			h.Fixed = allowed
		}
		h.FixedEndsMS = b.fixed.ends.UnixMilli()
		b.fixedSum[h.Fixed]++
	}
	b.instances[h.Instance][h.Outcome]++
	if b.hits = append(b.hits, h); len(b.hits) > mostHits {
		b.hits = slices.Delete(b.hits, 0, len(b.hits)-mostHits)
	}
	b.send(message{Hit: &h})
}

func (b *board) snapshot() snapshot {
	s := snapshot{NowMS: time.Now().UnixMilli(), Settings: b.settings, Shared: b.shared, Fixed: b.fixedSum.clone()}
	s.Hits = append([]hit{}, b.hits...) // never null in JSON
	for _, c := range b.instances {
		s.Instances = append(s.Instances, c.clone())
	}
	return s
}

// state is everything that the page shows, now.
func (b *board) state() snapshot {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.snapshot()
}

func (c counts) clone() counts {
	clone := counts{}
	for outcome, n := range c {
		clone[outcome] = n
	}
	return clone
}

// subscribe opens a stream that begins with a snapshot. ok is false if there are too many, or if
// the board is closed.
func (b *board) subscribe() (stream chan message, ok bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.closed || len(b.streams) >= mostStreams {
		return nil, false
	}
	stream = make(chan message, streamRoom)
	snap := b.snapshot()
	stream <- message{Snapshot: &snap}
	b.streams[stream] = struct{}{}
	return stream, true
}

func (b *board) unsubscribe(stream chan message) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.drop(stream)
}

func (b *board) drop(stream chan message) {
	if _, open := b.streams[stream]; open {
		delete(b.streams, stream)
		close(stream)
	}
}

// send gives a message to every stream. A reader that is too far behind loses its stream: the
// browser opens another, which begins with a snapshot.
func (b *board) send(m message) {
	for stream := range b.streams {
		select {
		case stream <- m:
		default:
			b.drop(stream)
		}
	}
}

// close ends all streams.
func (b *board) close() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.closed = true
	for stream := range b.streams {
		b.drop(stream)
	}
}
