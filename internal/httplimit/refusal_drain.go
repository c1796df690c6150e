package httplimit

import (
	"io"
	"net/http"
	"time"
)

// drainTime is how long a refusal reads on at most.
const drainTime = 5 * time.Second

// drainAfter makes the response to c read the rest of the request's body once the refusal is
// sent. net/http closes a connection with 256 KB or more to read: clients that write a
// whole request before they read then find a broken pipe in place of the refusal.
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
