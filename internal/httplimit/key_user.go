package httplimit

import "fmt"

// KeyByUser makes the Keyer that adapters document under this name.
func KeyByUser[C any](user func(c C) (string, error)) Keyer[C] {
	if user == nil {
		return badKey[C]{faults{{Field: "KeyByUser: user", Given: "nil", Allowed: "a function that returns the user of a request"}}}
	}
	return userKey[C](user)
}

// errNoUser is made once: FirstOf passes it over for each request without a user.
var errNoUser = fmt.Errorf("%w: it has no authenticated user", ErrNoKey)

type userKey[C any] func(c C) (string, error)

func (user userKey[C]) Key(c C) (string, error) {
	name, err := user(c)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", errNoUser
	}
	return name, nil
}
