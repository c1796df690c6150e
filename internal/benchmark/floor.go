package main

import (
	"context"

	"github.com/redis/rueidis"
)

// rawINCR is the cheapest command that could count at all.
func rawINCR() contestant {
	return contestant{
		name: incrName, algorithm: "counts, never refuses", settings: rueidisSettings,
		module: "github.com/redis/rueidis", admits: anything,
		open: func(_ context.Context, addr string, _ quota) (decide, func(), error) {
			client, err := rueidis.NewClient(rueidisOption(addr))
			if err != nil {
				return nil, nil, err
			}
			return func(ctx context.Context, key string) (bool, error) {
				return true, client.Do(ctx, client.B().Incr().Key(key).Build()).Error()
			}, client.Close, nil
		},
	}
}

// rawEVALSHA is the cheapest script.
func rawEVALSHA() contestant {
	return contestant{
		name: "floor: EVALSHA return 1", algorithm: "does nothing", settings: rueidisSettings,
		module: "github.com/redis/rueidis", admits: anything,
		open: func(_ context.Context, addr string, _ quota) (decide, func(), error) {
			client, err := rueidis.NewClient(rueidisOption(addr))
			if err != nil {
				return nil, nil, err
			}
			script := rueidis.NewLuaScript("return 1")
			return func(ctx context.Context, key string) (bool, error) {
				return true, script.Exec(ctx, client, []string{key}, nil).Error()
			}, client.Close, nil
		},
	}
}
