package echov5

import (
	"encoding/json"

	"github.com/labstack/echo/v5"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

var (
	// ErrNoKey means that a [Keyer] found nothing to count the request against, or
	// failed; in the latter case the cause is wrapped too. The text of this package's own
	// Keyers says what is missing and never holds the address or the header's value.
	ErrNoKey = httplimit.ErrNoKey

	// ErrUndecided means that there is no decision on a request although it has a key: the
	// limiter made none, or Config.Cost, Costs or Limits failed. The cause is wrapped too.
	ErrUndecided = httplimit.ErrUndecided

	// ErrPanicked is what [Config].CountIf is told of a handler that panicked.
	ErrPanicked = httplimit.ErrPanicked

	// ErrInvalidConfig means that something was made with a setting that is not allowed.
	// [ConfigError] says which.
	ErrInvalidConfig = httplimit.ErrInvalidConfig
)

// ConfigError says which setting is wrong. It matches [ErrInvalidConfig], and no
// field of it holds a secret. Faults are reported all at once, joined by [errors.Join]:
// [errors.As] finds the first, as a *ConfigError. It has three fields, all of them text:
//
//   - Field is the setting, after the functions that it was given to:
//     "Join: part 1: KeyByHeader: name". Parts are counted from 0.
//   - Given is its value, quoted if it is text, or for a secret its length.
//   - Allowed are the values that it may have.
type ConfigError = httplimit.ConfigError

// RefusedError is the error of every refusal that this package returns. An HTTPErrorHandler, or
// middleware further out, finds it with [errors.As], and so tells a refusal by the limiter
// from a 429 of a handler. It is an [echo.HTTPStatusCoder], and has what both of Echo's error
// handlers write: the default one takes MarshalJSON, that of problem details ProblemError.
type RefusedError struct {
	// Decision is the limiter's answer; its Allowed is false.
	Decision slidingwindow.Decision

	refusal httplimit.Refusal
}

// Error implements error. It names the limits that refused and no key.
func (e *RefusedError) Error() string { return httplimit.RefusalText(e.Decision) }

// StatusCode implements [echo.HTTPStatusCoder].
func (e *RefusedError) StatusCode() int { return e.refusal.Status }

// MarshalJSON implements [json.Marshaler]: the body is [Config].Message. One that is a string is
// written as {"message": "..."}, as Echo does.
func (e *RefusedError) MarshalJSON() ([]byte, error) {
	if text, ok := e.refusal.Message.(string); ok {
		return json.Marshal(map[string]string{"message": text})
	}
	return json.Marshal(e.refusal.Message)
}

// ProblemError implements [echo.ProblemErrorer]. An [echo.ProblemError] has no place for
// violated-policies.
func (e *RefusedError) ProblemError() *echo.ProblemError {
	problem := e.refusal.Problem
	return &echo.ProblemError{Type: problem.Type, Title: problem.Title, Status: problem.Status, Detail: problem.Detail}
}
