package httplimit

import (
	"cmp"
	"net/http"
)

const (
	unknownRoute = "(no route)"
	otherMethod  = "OTHER"
)

// KeyByRoute makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByRoute() Keyer[C] { return routeKey[C]{f} }

type routeKey[C any] struct{ f *Framework[C] }

func (k routeKey[C]) Key(c C) (string, error) {
	method := k.f.Request(c).Method
	if !isKnownMethod(method) {
		method = otherMethod
	}
	return method + " " + cmp.Or(k.f.Path(c), unknownRoute), nil
}

// KeyByPattern makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByPattern() Keyer[C] { return patternKey[C]{f} }

type patternKey[C any] struct{ f *Framework[C] }

func (k patternKey[C]) Key(c C) (string, error) { return cmp.Or(k.f.Path(c), unknownRoute), nil }

func isKnownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
		"PROPFIND", "REPORT":
		return true
	}
	return false
}
