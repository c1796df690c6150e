package config

import (
	"bytes"
	"log/slog"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListen(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)

	for _, test := range []struct {
		environ []string
		want    string
	}{
		// Such as the HOST of conda, x86_64-conda-linux-gnu: nobody needs to be asked for one with two dots.
		{[]string{"HOST=x86_64..conda-linux-gnu", "PORT=1"}, `cannot listen: host (HOST in the environment) is "x86_64..conda-linux-gnu": listen tcp: lookup x86_64..conda-linux-gnu`},
		{[]string{"HOST=192.0.2.1"}, `cannot listen: host (HOST in the environment) is "192.0.2.1": listen tcp 192.0.2.1:8080: bind: `},
		{[]string{"HOST=127.0.0.1", "PORT=" + port}, "cannot listen: port (PORT in the environment) is " + port + ": listen tcp 127.0.0.1:" + port + ": bind: "},
	} {
		c, err := Load(Sources{Environ: append(test.environ, "REDIS_URL=memory://")})
		require.NoError(t, err)
		_, err = c.Listen(t.Context(), nil)
		require.ErrorContains(t, err, test.want)
	}
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	_, err = (&Config{Host: "127.0.0.1", Port: n}).Listen(t.Context(), nil)
	require.ErrorContains(t, err, "cannot listen: port is "+port)
	c, err := Load(Sources{Environ: []string{"REDIS_URL=memory://"}, Defaults: map[string]any{"host": "192.0.2.1"}})
	require.NoError(t, err)
	_, err = c.Listen(t.Context(), nil)
	require.ErrorContains(t, err, `host (the program's defaults) is "192.0.2.1"`)
}

// No name resolves to 127.0.1.1 everywhere, so this test has the name taken for one.
func TestListenWarnsOfTheAddressOfAComputersOwnName(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	for _, host := range []string{"127.0.1.1", "localhost"} {
		listener, err := (&Config{Host: host}).Listen(t.Context(), logger)
		require.NoError(t, err)
		if host == "127.0.1.1" {
			assert.True(t, isSelfOnly(listener.Addr()), "the warning is for a name with this address")
		}
		require.NoError(t, listener.Close())
	}
	assert.Empty(t, out.String(), "who writes the address means it")
	(&Config{Host: "debian", from: map[string]string{keyHost: "host (HOST in the environment)"}}).warnOfHost(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}, logger)
	assert.Contains(t, out.String(), `level=WARN msg="the host resolves to 127.0.1.1, where no other computer can connect" host=debian from="host (HOST in the environment)"`)
}
