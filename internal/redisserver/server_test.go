package redisserver_test

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

func connect(t *testing.T, addrs ...string) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func TestServerAnswersAndEnds(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	client := connect(t, server.Addr())
	require.NoError(t, client.Do(t.Context(), client.B().Set().Key("k").Value("v").Build()).Error())

	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(context.Background()))
	err = client.Do(t.Context(), client.B().Get().Key("k").Build()).Error()
	assert.True(t, rueidis.IsRedisNil(err), "a restarted server has no data, got %v", err)

	require.NoError(t, server.Stop())
	_, err = net.Dial("tcp", server.Addr())
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestBadArgumentIsAnErrorWithTheServersWords(t *testing.T) {
	t.Parallel()
	_, err := redisserver.Start(t.Context(), "--no-such-setting", "1")
	assert.ErrorContains(t, err, "no-such-setting")
}

func TestClusterServesAllSlots(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	defer func() { assert.NoError(t, cluster.Stop()) }()
	client := connect(t, cluster.Addrs()...)
	require.Len(t, client.Nodes(), 3)
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		require.NoError(t, client.Do(t.Context(), client.B().Set().Key(key).Value("v").Build()).Error())
	}
}

func TestMissingProgramIsSaid(t *testing.T) {
	t.Setenv(redisserver.Servers, "")
	t.Setenv("PATH", t.TempDir())
	_, err := redisserver.Start(t.Context())
	assert.ErrorIs(t, err, redisserver.ErrNotInstalled)
}

func TestServersNamesTheProgram(t *testing.T) {
	byDefault, err := redisserver.Version(t.Context())
	require.NoError(t, err)
	assert.Contains(t, byDefault, " v=")

	installed, err := exec.LookPath("redis-server")
	require.NoError(t, err)
	for _, list := range []string{installed, filepath.Dir(installed), filepath.Dir(installed) + string(filepath.ListSeparator) + "nowhere"} {
		t.Setenv(redisserver.Servers, list)
		server, err := redisserver.Start(t.Context())
		require.NoError(t, err, list)
		require.NoError(t, server.Stop())
	}
	t.Setenv(redisserver.Servers, t.TempDir())
	_, err = redisserver.Start(t.Context())
	require.ErrorContains(t, err, "SERVERS names")
}
