package config_test

import (
	"context"
	"fmt"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func ExampleLoad() {
	cfg, err := config.Load(config.Sources{
		Environ: []string{
			"REDIS_URL=redis://limiter:secret@localhost:6379/0",
			"LIMITS_API_MAX=200",
		},
		Defaults: map[string]any{"limits.api.max": 100, "limits.api.window": "15m"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.Redis.URL)
	fmt.Println(cfg.Limits["api"].Max, "in", cfg.Limits["api"].Window)
	// Output:
	// redis://xxxxx@localhost:6379/0
	// 200 in 15m0s
}

// Everything that is wrong is reported at once.
func ExampleLoad_errors() {
	_, err := config.Load(config.Sources{
		Environ: []string{"PORT=http", "LIMITS_API_MAX=100", "LIMITS_API_WINDOW=15"},
	})
	fmt.Println(err)
	// Output:
	// port (PORT in the environment) is "http": a whole number is needed; allowed: 1 to 65535
	// REDIS_URL is required: set it to redis://localhost:6379, or memory:// to limit within this process only
	// limits.api.window (LIMITS_API_WINDOW in the environment) is "15": a duration needs a unit; allowed: 1ms to 87600h, such as 15m
}

// A store that is ready to use, whatever REDIS_URL says.
func ExampleRedis_Open() {
	cfg, err := config.Load(config.Sources{
		Environ: []string{"REDIS_URL=memory://", "LIMITS_API_MAX=100", "LIMITS_API_WINDOW=15m"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := cfg.Redis.Open(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	limiter, err := slidingwindow.New(store, cfg.Limits["api"].Limit)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := limiter.Allow(context.Background(), "user:42")
	fmt.Println(d.Allowed, d.Remaining, err)
	// Output:
	// true 99 <nil>
}

func ExampleConfig_Limit() {
	cfg, err := config.Load(config.Sources{
		Environ: []string{"REDIS_URL=memory://", "LIMITS_LOGIN_MAX=5", "LIMITS_LOGIN_WINDOW=15m"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := cfg.Limit("login")
	fmt.Println(login.Name, login.Max, login.Window, err)
	_, err = cfg.Limit("api")
	fmt.Println(err)
	// Output:
	// login 5 15m0s <nil>
	// limit "api" is not configured: set LIMITS_API_MAX and LIMITS_API_WINDOW, or limits.api.max and limits.api.window in the YAML file; configured: login
}

// How a limit is applied is in the settings, too.
func ExampleLimit() {
	cfg, err := config.Load(config.Sources{
		Environ: []string{
			"REDIS_URL=memory://",
			"LIMITS_LOGIN_MAX=5", "LIMITS_LOGIN_WINDOW=15m",
			"LIMITS_LOGIN_BY=ip + hashed:form:email", "LIMITS_LOGIN_MODE=shadow",
			"CLIENT_KEY_SECRET=0123456789abcdef",
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := cfg.Limit("login")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(login.Max, login.By, login.Mode) // login.Limit is for slidingwindow.New
	// Output:
	// 5 ip+hashed:form:email shadow
}

func ExampleResponse() {
	cfg, err := config.Load(config.Sources{
		Environ: []string{"REDIS_URL=memory://", "RESPONSE_HEADERS=legacy,draft-10", "RESPONSE_FAILED_STATUS=500"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.Response.Headers)
	fmt.Println(cfg.Response.RefusedStatus, cfg.Response.NoKeyStatus, cfg.Response.FailedStatus)
	// Output:
	// draft-11, legacy
	// 429 403 500
}

// A secret is shown to nobody but who asks for its bytes.
func ExampleSecret() {
	cfg, err := config.Load(config.Sources{
		Environ: []string{"REDIS_URL=memory://", "CLIENT_KEY_SECRET=0123456789abcdef"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%+v\n", cfg.Client)
	fmt.Println(len(cfg.Client.KeySecret.Bytes()), "bytes")
	// Output:
	// {IPv6Prefix:56 KeySecret:xxxxx TrustedProxies:[] ProxyHeader:X-Forwarded-For}
	// 16 bytes
}

// With memory:// there is no Redis to connect to.
func ExampleRedis_InMemory() {
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=memory://"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if cfg.Redis.InMemory() {
		_, err = memory.NewWithConfig(memory.Config{})
		fmt.Println("in memory", err)
	}
	// Output:
	// in memory <nil>
}
