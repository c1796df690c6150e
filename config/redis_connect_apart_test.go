package config_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/testcert"
)

// The URL is the platform's, the login is not in it.
func TestConnectWithALoginApartFromTheURL(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--requirepass", "s3cret", "--user", "limiter", "on", ">s3cret-too", "~*", "&*", "+@all")
	at := func(login string) string { return "REDIS_URL=redis://" + login + server.Addr() }
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"password":          {[]string{at(""), "REDIS_PASSWORD=s3cret"}, ""},
		"user and password": {[]string{at(""), "REDIS_USERNAME=limiter", "REDIS_PASSWORD=s3cret-too"}, ""},
		"user in the URL":   {[]string{at("limiter@"), "REDIS_PASSWORD=s3cret-too"}, ""},
		"user apart":        {[]string{at(":s3cret-too@"), "REDIS_USERNAME=limiter"}, ""},
		"twice the same":    {[]string{at("limiter:s3cret-too@"), "REDIS_USERNAME=limiter", "REDIS_PASSWORD=s3cret-too"}, ""},
		"wrong":             {[]string{at(""), "REDIS_PASSWORD=s3cret-too"}, "redis at " + server.Addr() + " refused the login: WRONGPASS: the user or the password of REDIS_PASSWORD is wrong, or the user is disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := loadRedis(t, test.environ...)
			requireConnects(t, r, test.want)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", r, r, r), "s3cret")
		})
	}
}

func TestConnectWithOptionsApartFromTheURL(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	port := startTLS(t, authority, authority.Sign(t, nil, "redis.example"), "no")
	r := loadRedis(t, "REDIS_URL=rediss://localhost:"+port, "REDIS_SKIP_VERIFY=true", "REDIS_CLIENT_CACHE=false", "REDIS_BATCH_SIZE=1", "REDIS_BATCHES_IN_FLIGHT=7")
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	decides(t, r, client)
	info, err := client.Do(t.Context(), client.B().ClientInfo().Build()).ToString()
	require.NoError(t, err)
	assert.Contains(t, info, " flags=N ", "flags=t is that of tracking, which the cache needs")
	assert.Equal(t, 1, r.StoreConfig().BatchSize)
	assert.Equal(t, 7, r.StoreConfig().BatchesInFlight)
}
