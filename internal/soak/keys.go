package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const keyPrefix = "soak"

// checkKeys checks, after the load, that every key in Redis expires within two windows, and
// that all are gone after that.
func (r *result) checkKeys(ctx context.Context, servers []*redisserver.Server) error {
	for _, server := range servers {
		keys, err := eachKey(ctx, server, func(key string, left time.Duration) {
			if left < 0 || left > 2*maxWindow+time.Millisecond {
				r.journal.problem(fmt.Sprintf("a key expires in %v; allowed: 0s to %v: %s", left, 2*maxWindow, key))
			}
		})
		if err != nil {
			return err
		}
		r.keys += keys
	}
	sleep(ctx, 2*maxWindow+500*time.Millisecond)
	for _, server := range servers {
		keys, err := eachKey(ctx, server, func(key string, _ time.Duration) {
			r.journal.problem("a key is there after two windows: " + key)
		})
		if err != nil {
			return err
		}
		r.keysLeft += keys
	}
	return nil
}

// eachKey calls visit with the name of each key and its time to live, which is negative if
// it has none, and returns how many there were.
func eachKey(ctx context.Context, server *redisserver.Server, visit func(key string, left time.Duration)) (keys int, err error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for cursor := uint64(0); ; {
		page, err := client.Do(ctx, client.B().Scan().Cursor(cursor).Count(1000).Build()).AsScanEntry()
		if err != nil {
			return keys, err
		}
		for _, key := range page.Elements {
			left, err := client.Do(ctx, client.B().Pttl().Key(key).Build()).AsInt64()
			if err != nil {
				return keys, err
			}
			const gone = -2
			if left != gone {
				keys++
				visit(key, time.Duration(left)*time.Millisecond)
			}
		}
		if cursor = page.Cursor; cursor == 0 {
			return keys, nil
		}
	}
}
