package httplimit

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// RefusalText is the text of an error that is a refusal. It names the limits that refused and
// no key.
func RefusalText(d slidingwindow.Decision) string {
	return "echomw: refused by " + strings.Join(refusedBy(&d), ", ")
}

// refusedBy returns the names of the limits that refused.
func refusedBy(d *slidingwindow.Decision) []string {
	var names []string
	var room [usualLimits]slidingwindow.Status
	for _, status := range d.AppendStatuses(room[:0]) {
		if status.RetryAfter > 0 {
			names = append(names, status.Limit.Name)
		}
	}
	return names
}

// forbidStoring keeps caches from storing a refusal or a failure. RFC 6585, section 4, forbids that
// for a 429, and no other client should get this one's failure. But a cache obeys the freshness that
// middleware further out may have set for the response that it expected (RFC 9111, section 3).
func forbidStoring(h http.Header) {
	h["Cache-Control"] = []string{"no-store"}
	for _, field := range [...]string{
		"Etag", "Expires", "Last-Modified",
		// For the caches of some CDNs and proxies, before Cache-Control (RFC 9213).
		"Cdn-Cache-Control", "Cloudflare-Cdn-Cache-Control", "Surrogate-Control", "Edge-Control", "X-Accel-Expires",
	} {
		delete(h, field)
	}
}

// refusal is the error that refuses the request of c. retryAfter is that of the response,
// in seconds.
func (g *gate[C]) refusal(c C, d slidingwindow.Decision, retryAfter int64) error {
	message := g.Message
	if makeMessage, ok := message.(MessageFunc[C]); ok {
		message = makeMessage(c, d)
		if err := messageFault(message); err != nil {
			// Echo would answer with an empty 200.
			g.badMessage.warn(g.logger(), "echomw: a MessageFunc returned what cannot be sent: "+err.Error(), helpRefusals)
			message = nil
		}
	}
	problem := Problem{
		Type:             problemType,
		Title:            problemTitle,
		Status:           g.Status.Refused,
		Detail:           "Too many requests: retry in " + strconv.FormatInt(retryAfter, 10) + " s.",
		ViolatedPolicies: refusedBy(&d),
	}
	if message == nil {
		body := newDefaultBody(problem)
		sendWithType(g.Framework, c, body)
		message = body
	}
	return g.Refuse(Refusal{Status: g.Status.Refused, Message: message, Problem: problem, Decision: d})
}

// drainTime is the longest time for which a refusal reads on.
const drainTime = 5 * time.Second

// drainAfter makes the response to c read the rest of the request's body once the refusal is
// sent. net/http closes a connection with 256 KB or more to read. A client that writes its whole
// request before it reads then gets a broken pipe instead of the refusal.
func (g *gate[C]) drainAfter(c C) {
	r := g.Request(c)
	// A client that expects 100-continue waits for the answer, and HTTP/2 has streams.
	if g.DrainRefused == 0 || r.ProtoMajor != 1 || r.ContentLength == 0 || r.ContentLength > g.DrainRefused || r.Header.Get("Expect") != "" {
		return
	}
	drained := false
	g.After(c, func() {
		if drained {
			return
		}
		drained = true
		control := http.NewResponseController(g.Response(c))
		if control.Flush() == nil && control.SetReadDeadline(time.Now().Add(drainTime)) == nil {
			_, _ = io.CopyN(io.Discard, r.Body, g.DrainRefused)
		}
	})
}
