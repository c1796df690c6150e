package httplimit

import (
	"net/http"
	"strconv"
	"strings"

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
	for _, status := range d.Statuses() {
		if status.RetryAfter > 0 {
			names = append(names, status.Limit.Name)
		}
	}
	return names
}

// forbidStoring keeps caches from storing a refusal or a failure. RFC 6585, section 4,
// forbids it for a 429, and no other client is to get this one's failure; but a cache
// obeys the freshness that middleware further out may have set for the response it
// expected (RFC 9111, section 3).
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
	status := g.Status.Refused
	if message == nil {
		body := newDefaultBody(problem{
			Type:             problemType,
			Title:            problemTitle,
			Status:           status,
			Detail:           "Too many requests: retry in " + strconv.FormatInt(retryAfter, 10) + " s.",
			ViolatedPolicies: refusedBy(&d),
		})
		sendWithType(g.Framework, c, body)
		message = body
	}
	return g.Refusal(status, message, d)
}
