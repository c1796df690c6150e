// Package httplimit limits HTTP requests with a limiter of the slidingwindow package. It has all
// that is HTTP, and nothing of a framework. An adapter says in a [Framework] how its framework
// is asked, and gives the rest of this package to its users under names of its own.
//
// C is what the framework hands to a handler for one request, such as an echo.Context.
package httplimit

import (
	"net/http"
	"net/url"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Framework is how an HTTP framework is asked about a request, and answers it. All fields are
// required and safe for concurrent use.
type Framework[C any] struct {
	// Request and Response are the request and its response as handlers see them.
	Request  func(c C) *http.Request
	Response func(c C) http.ResponseWriter

	// Writer is where the framework's own response writes to. It may be replaced for the
	// rest of the request. It is nil where the framework's response cannot be found.
	Writer func(c C) *http.ResponseWriter

	// Before and After register functions that the framework calls just before it sends the
	// header, and after it has written a part of the body.
	Before, After func(c C, call func())

	// Committed reports whether the header was sent. StatusAfter is the status of the response
	// after a handler that returned err: the one that was sent, or will be.
	Committed   func(c C) bool
	StatusAfter func(c C, err error) int

	// Get and Set keep values for the rest of the request. Get returns nil for no value.
	Get func(c C, name string) any
	Set func(c C, name string, value any)

	// Path is the pattern of the route, "" for none.
	Path func(c C) string

	// Param is a parameter of the path and how many of this name the route has. It is not
	// percent-encoded; an error says that it cannot be decoded.
	Param func(c C, name string) (value string, n int, err error)

	// Query has the parameters of the URL's query.
	Query func(c C) url.Values

	// ClientIP is the address that the framework's extractor finds; false if the
	// application has set none.
	ClientIP func(c C) (text string, ok bool)

	// HTTPError makes an error that the framework answers with the status and the message,
	// which is mostly text. The cause is for logs, and for errors.Is.
	HTTPError func(status int, message any, cause error) error

	// StatusOf finds the first error in err that sets a status, and its message; 0 is none.
	// bare reports whether err is that error itself and the framework answers as it says.
	// err has no nil pointer in it.
	StatusOf func(err error) (status int, message any, bare bool)

	// Refuse makes the error that answers a refused request.
	Refuse func(r Refusal) error
}

// Refusal is how to answer a refused request.
type Refusal struct {
	Status   int
	Message  any     // the body: Config.Message, or the Problem in JSON
	Problem  Problem // for a framework that writes problems itself
	Decision slidingwindow.Decision
}
