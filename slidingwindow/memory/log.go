package memory

import "sort"

// memoryLog is the sliding log of one limit of one key: a ring of entries in the order of their times.
// Entries of callers who wait are ahead of the clock, and so are other entries after the clock was set
// back. A nil log is empty.
type memoryLog struct {
	name string

	ring []entry // its length is 0 or a power of two
	head int     // where the oldest entry is
	len  int
	base int64 // the sum before the oldest entry

	// In ns. They mean what they mean in the header of a log in decide.lua.
	keep int64 // the longest window of the calls that were allowed within the last such window
	next int64 // the longest window since till was set: the next keep
	till int64 // a hit later than this sets keep and till again
}

// entry is what one call took, or what all calls of one Resolution took.
type entry struct {
	at  int64 // ns
	sum int64 // units ever taken, up to and with this entry
	id  int64 // of this entry only; negative if calls share the entry
}

const none = 0 // the id of no entry

// view is what a log says at some time.
type view struct {
	first int   // the oldest entry still in the window, counted from the head
	used  int64 // units in the window
}

const (
	minRing = 4

	// Sums start from 0 again beyond this, long before they overflow.
	maxBase = 1 << 61
)

func (l *memoryLog) entry(i int) *entry {
	return &l.ring[(l.head+i)&(len(l.ring)-1)]
}

func (l *memoryLog) at(i int) int64 { return l.entry(i).at }

// sumBefore is how many units were ever taken before entry i.
func (l *memoryLog) sumBefore(i int) int64 {
	if i == 0 {
		return l.base
	}
	return l.entry(i - 1).sum
}

// gone reports whether the log may be forgotten.
func (l *memoryLog) gone(now int64) bool { return l.till+l.keep <= now }

func (l *memoryLog) view(now, window int64) view {
	if l == nil || l.len == 0 {
		return view{}
	}
	cutoff := now - window
	left, end := 0, 0 // few have left since the last call, most often
	for end < l.len && l.at(end) <= cutoff {
		left, end = end+1, 2*end+1
	}
	first := left + sort.Search(min(end, l.len)-left, func(i int) bool { return l.at(left+i) > cutoff })
	return view{first: first, used: l.sumBefore(l.len) - l.sumBefore(first)}
}

// freed returns the time of an entry: when it leaves the window, need units have left it in all.
func (l *memoryLog) freed(v view, need int64) int64 {
	target := l.sumBefore(v.first) + need
	return l.at(sort.Search(l.len, func(i int) bool { return l.entry(i).sum >= target }))
}

// shared is the id of the entry of that time that calls share, or none.
func (l *memoryLog) shared(at int64) int64 {
	if i := l.find(at); i >= 0 {
		return l.entry(i).id
	}
	return none
}

// find returns the entry of that time that calls share, or -1.
func (l *memoryLog) find(at int64) int {
	for i := l.size() - 1; i >= 0 && l.at(i) >= at; i-- {
		if e := l.entry(i); e.at == at && e.id < 0 {
			return i
		}
	}
	return -1
}

// size is how many entries there are.
func (l *memoryLog) size() int {
	if l == nil {
		return 0
	}
	return l.len
}

// add logs units that are used at a time, now or later. With a negative id they go into the entry of
// that time that calls share. A call with the longest window in use forgets what has left the window.
// A call with a shorter one must not: the longer window still counts it.
func (l *memoryLog) add(now, at, window, units, id int64) {
	anew := window > l.keep || at > l.till
	if anew {
		l.keep = max(l.next, window)
		l.next, l.till = window, at+l.keep
	}
	l.next = max(l.next, window)
	if window == l.keep {
		l.forget(l.view(now, window).first)
	}
	switch size := len(l.ring); {
	case l.len == size:
		l.resize(max(minRing, 2*size))
	case anew && size > minRing && l.len < size/8:
		l.resize(size / 2) // after a burst; at most once a window, so that a short pause changes nothing
	}
	l.rebase()
	if shared := l.find(at); id < 0 && shared >= 0 {
		for i := shared; i < l.len; i++ {
			l.entry(i).sum += units
		}
		return
	}
	i := l.len
	l.len++
	for ; i > 0 && l.at(i-1) > at; i-- {
		*l.entry(i) = *l.entry(i - 1)
		l.entry(i).sum += units
	}
	*l.entry(i) = entry{at: at, sum: l.sumBefore(i) + units, id: id}
}

// forget drops the oldest entries.
func (l *memoryLog) forget(entries int) {
	l.base = l.sumBefore(entries)
	l.len -= entries
	if l.len == 0 {
		l.head = 0
	} else {
		l.head = (l.head + entries) & (len(l.ring) - 1)
	}
}

// settle replaces the units that a call took in the entry of that id, and reports whether the new ones
// are fewer. An entry without units is removed. settle does nothing if the entry has other units than
// the call took, because the call was settled before. An entry that calls share may have more.
func (l *memoryLog) settle(id, taken, units int64) (fewer bool) {
	i := l.len - 1
	for i >= 0 && l.entry(i).id != id {
		i--
	}
	if i < 0 {
		return false
	}
	had := l.entry(i).sum - l.sumBefore(i)
	if had < taken || id > 0 && had != taken {
		return false
	}
	empty := had-taken+units == 0
	if empty {
		l.len--
	}
	for ; i < l.len; i++ {
		if empty {
			*l.entry(i) = *l.entry(i + 1)
		}
		l.entry(i).sum += units - taken
	}
	return units < taken
}

func (l *memoryLog) resize(size int) {
	ring := make([]entry, size)
	for i := range l.len {
		ring[i] = *l.entry(i)
	}
	l.ring, l.head = ring, 0
}

// rebase keeps the sums of a log that is never empty from growing without end.
func (l *memoryLog) rebase() {
	if l.base < maxBase {
		return
	}
	for i := range l.len {
		l.entry(i).sum -= l.base
	}
	l.base = 0
}
