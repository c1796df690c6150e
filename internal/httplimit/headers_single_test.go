package httplimit

import (
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSetRetryAfter(t *testing.T) {
	for _, test := range []struct {
		earlier string
		wait    time.Duration
		want    string
	}{
		{"", 0, "1"},
		{"", -time.Second, "1"},
		{"", 1, "1"},
		{"", time.Second, "1"},
		{"", time.Second + 1, "2"},
		{"", 90 * time.Second, "90"},
		{"", math.MaxInt64, "9223372037"},
		{"30", 90 * time.Second, "90"},
		{"120", 90 * time.Second, "120"},
		{"0", 0, "1"},
		{"1.5", time.Second, "1"},
		{"Mon, 05 Aug 2019 09:27:05 GMT", time.Second, "1"},
	} {
		h := http.Header{}
		if test.earlier != "" {
			h.Set("Retry-After", test.earlier)
		}
		seconds := setRetryAfter(h, test.wait)
		assert.Equal(t, []string{test.want}, h.Values("Retry-After"))
		assert.Equal(t, test.want, strconv.FormatInt(seconds, 10))
	}
}
