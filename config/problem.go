package config

import (
	"errors"
	"strings"
)

// ErrInvalid is matched by every error of [Load] and [Config.Limit].
var ErrInvalid = errors.New("config: invalid configuration")

// problems is what is wrong with a configuration, one error for each thing. It has no
// heading, so that each line of its text stands for itself.
type problems []error

func (p problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

func (p problems) Unwrap() []error { return p }

func (p problems) Is(target error) bool { return target == ErrInvalid }
