package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARowThatGrewFails(t *testing.T) {
	t.Parallel()
	committed := "text\n\n| decision | 27 together | lone |\n|---|---:|---:|\n" + row{"a", 40, 80}.String() + "\n" + row{"b", 0, 17.5}.String() + "\n"
	require.NoError(t, compare([]row{{"a", 41.9, 83.9}, {"b", 0, 10}}, committed))
	assert.ErrorContains(t, compare([]row{{"a", 42.1, 80}}, committed), "a: 42.1 together")
	assert.ErrorContains(t, compare([]row{{"a", 40, 84.1}}, committed), "84.1 lone")
	assert.ErrorContains(t, compare([]row{{"b", 0, 18.5}}, committed), "b: ")
	assert.ErrorContains(t, compare([]row{{"c", 1, 1}}, committed), "c: not in")

	verbs := verbRow{"v", 1, 4, 80}.String() + "\n"
	require.NoError(t, compare([]row{{"v", 1, 83.9}}, verbs))
	assert.ErrorContains(t, compare([]row{{"v", 1, 84.1}}, verbs), "v: ")
	assert.ErrorContains(t, compare([]row{{"v", 2, 80}}, verbs), "v: ", "one more command is sent")
}
