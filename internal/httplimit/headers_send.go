package httplimit

import (
	"bufio"
	"net"
	"net/http"
)

// sender is the writer of the response while the handlers behind the limiters run. It settles
// the headers at the last moment: by then a proxy or another limiter may have written to the
// same fields. A hook of Framework.Before would take memory for each request, and would not see
// handlers that write to the writer directly.
type sender struct {
	http.ResponseWriter
	record *record
	sent   bool
}

// serve runs the handlers behind the limiter that has decided last.
func serve[C any](f *Framework[C], c C, next func(C) error, r *record) error {
	w := f.Writer(c)                                           //nolint:bodyclose // a writer, and no response of a client
	if !r.last().tells || r.sender.record != nil || w == nil { // nothing to tell, or a limiter further out does it
		return next(c)
	}
	r.sender = sender{ResponseWriter: *w, record: r}
	*w = &r.sender
	err := next(c)
	if *w == http.ResponseWriter(&r.sender) {
		// Middleware further out may have put a writer of its own in place, and takes it away.
		*w, r.sender.record = r.sender.ResponseWriter, nil
	}
	if !f.Committed(c) {
		r.told.settle(f.Response(c).Header(), r.turns) // an error handler will write the response
	}
	return err
}

func (s *sender) settle() {
	if !s.sent && s.record != nil {
		s.sent = true
		s.record.told.settle(s.Header(), s.record.turns)
	}
}

// WriteHeader implements [http.ResponseWriter].
func (s *sender) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		s.settle()
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (s *sender) Write(b []byte) (int, error) {
	s.settle()
	return s.ResponseWriter.Write(b)
}

// FlushError is what [http.ResponseController] calls; it sends the header.
func (s *sender) FlushError() error {
	s.settle()
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Flush implements [http.Flusher] for those who do not use a ResponseController.
func (s *sender) Flush() { _ = s.FlushError() }

// Hijack implements [http.Hijacker] for those who do not use a ResponseController.
func (s *sender) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(s.ResponseWriter).Hijack()
}

// Unwrap is for [http.ResponseController].
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }
