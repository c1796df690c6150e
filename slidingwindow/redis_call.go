package slidingwindow

import "time"

// kind is what decide.lua is asked to do.
type kind byte

const (
	kindTake kind = iota
	kindPeek
	kindAtMost
	kindWait
)

func kindOf(req *Request) kind {
	switch {
	case req.Peek:
		return kindPeek
	case req.AtMost:
		return kindAtMost
	case req.Wait:
		return kindWait
	default:
		return kindTake
	}
}

// call is one Take: the request, its result, and the caller that waits for it.
type call struct {
	kind   kind
	key    string
	limits []Limit
	cost   int64
	costs  []int64       // as in Request
	ahead  time.Duration // MaxWait or Ahead of Request
	node   *node         // the node of a Cluster that has the key; nil if it is not known

	decision Decision
	err      error

	waiter[turn]
	leading, left bool // guarded by the group's lock
}

// turn is what a waiting call is told.
type turn bool

const (
	decided turn = false // there is a decision or an error
	leads   turn = true  // the call leads the next batch
)

func (c *call) ask(req *Request) {
	c.kind, c.key, c.limits, c.cost, c.costs = kindOf(req), req.Key, req.Limits, req.Cost, req.Costs
	// Round up to the microseconds of an entry: it must not be earlier than its units may be used.
	c.ahead = req.MaxWait + (req.Ahead + time.Microsecond - 1).Truncate(time.Microsecond)
}

// costOf returns how many units decide.lua takes from a limit each time.
func (c *call) costOf(limit int) int64 {
	switch {
	case c.kind == kindAtMost:
		return 1
	case c.costs != nil:
		return c.costs[limit]
	default:
		return c.cost
	}
}

// question is what a script is asked.
type question struct {
	keys []string // all in one slot of a Cluster
	args []string
}
