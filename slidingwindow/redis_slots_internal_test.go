package slidingwindow

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSlotTable(t *testing.T) {
	table, err := newSlotTable(reply(t,
		[]any{0, 99, []any{"127.0.0.1", 7001, "id-1", []any{}}, []any{"127.0.0.1", 7011, "id-11", []any{}}},
		[]any{100, 100, []any{"", 7002, "id-2"}},
		[]any{101, 101, []any{nil, 7003, "id-3"}},
		[]any{200, 16383, []any{"127.0.0.1", 7001, "id-1", []any{}}},
	), nil)
	require.NoError(t, err)
	for slot, want := range map[int]string{
		0: "127.0.0.1:7001", 99: "127.0.0.1:7001", 100: "id-2", 101: "id-3", 102: "", 199: "", 200: "127.0.0.1:7001", 16383: "127.0.0.1:7001",
	} {
		assert.Equal(t, want, table.nodes[table.bySlot[slot]].name, slot)
	}
	assert.Len(t, table.nodes, 4)

	for _, wrong := range [][]any{
		{"OK"}, {[]any{0, 1}}, {[]any{-1, 1, []any{"h", 1, "id"}}}, {[]any{0, 16384, []any{"h", 1, "id"}}}, {[]any{0, 1, []any{"h", 1}}}, {[]any{"a", 1, []any{"h", 1, "id"}}},
	} {
		_, err := newSlotTable(reply(t, wrong...), nil)
		assert.ErrorIs(t, err, errSlots, wrong)
	}
}
