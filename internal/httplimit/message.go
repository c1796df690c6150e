package httplimit

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// MessageFunc makes the body of each refusal, for a Config.Message that is not always the same. It
// must return what a Message may be. nil stands for the default body, and so does what cannot be
// sent, after a warning in the log. d is the refusal.
type MessageFunc[C any] func(c C, d slidingwindow.Decision) any

const allowedMessage = "a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON"

// messageFault reports what would spoil the body of a refusal.
func messageFault(message any) error {
	if message == nil {
		return nil
	}
	fault := func(given string) error {
		return &ConfigError{Field: "Config.Message", Given: given, Allowed: allowedMessage}
	}
	if isBytes(reflect.TypeOf(message)) {
		return fault(fmt.Sprintf("bytes (%T), which JSON encodes in base64", message))
	}
	switch encoded, err := json.Marshal(message); {
	case err != nil:
		return errors.Join(fault(fmt.Sprintf("a %T, which does not encode as JSON", message)), err)
	case string(encoded) == "null":
		// A nil pointer that is an error would also make Echo's default handler panic.
		return fault(fmt.Sprintf("a %T that holds nothing, which JSON encodes as null", message))
	}
	return nil
}

// isBytes tells whether encoding/json writes values of the type, or what they point to,
// in base64.
func isBytes(t reflect.Type) bool {
	if t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return false
	}
	if t.Kind() == reflect.Pointer {
		return isBytes(t.Elem())
	}
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}
