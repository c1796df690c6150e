package main

import (
	"context"

	"github.com/redis/rueidis"
)

// rawINCR is the cheapest command that could count at all: one a call, whatever it is to count.
func rawINCR() contestant {
	return contestant{
		name: incrName, algorithm: "counts, never refuses", role: floor, settings: rueidisSettings,
		module: "github.com/redis/rueidis", admits: anything,
		open: func(_ context.Context, at place, _ demand) (decide, func(), error) {
			client, err := newRueidis(at)
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
		name: "floor: EVALSHA return 1", algorithm: "does nothing", role: floor, settings: rueidisSettings,
		module: "github.com/redis/rueidis", admits: anything,
		without: map[feature]string{state: "it does nothing in any state", farAway: "INCR is enough of a floor here"},
		open: func(_ context.Context, at place, _ demand) (decide, func(), error) {
			client, err := newRueidis(at)
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
