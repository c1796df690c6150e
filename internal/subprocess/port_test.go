package subprocess_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

func TestFreePortCanBeListenedOn(t *testing.T) {
	t.Parallel()
	for range 20 {
		port, err := subprocess.FreePort()
		require.NoError(t, err)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		require.NoError(t, err)
		assert.NoError(t, listener.Close())
	}
}
