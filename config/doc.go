// Package config loads and checks the settings of a program that limits rates, and
// connects it to Redis.
//
// # Sources
//
// [Load] reads up to five sources. A later one overrides an earlier one, key by key. A
// .env file that does not exist is none; a YAML file that does not is an error.
//
//  1. this package's defaults
//  2. the program's own defaults
//  3. a YAML file
//  4. a .env file
//  5. the environment
//
// # Keys
//
//	YAML                  variable               default   allowed
//	host                  HOST                             a host name or an IP address; "" is every address
//	port                  PORT                   8080      1 to 65535
//	redis.url             REDIS_URL              required  see below
//	redis.prefix          REDIS_PREFIX           rl        1 to 64 printable ASCII characters other than the space, { and }
//	redis.timeout         REDIS_TIMEOUT          250ms     1ms or more
//	limits.<name>.max     LIMITS_<NAME>_MAX                see slidingwindow.Limit
//	limits.<name>.window  LIMITS_<NAME>_WINDOW             see slidingwindow.Limit
//
// As a YAML file:
//
//	port: 8080
//	redis:
//	  url: redis://localhost:6379
//	limits:
//	  api:
//	    max: 100
//	    window: 15m
//
// The name of a limit is made of lower-case letters, digits and underscores, so that
// it can be spelled in a variable too. A duration needs a unit. A whole number is
// written in decimal digits, without a plus sign or leading zeros. An empty variable
// counts as not set.
//
// # What is not known
//
// A key that is not known is an error, in the YAML file and in the program's defaults. So
// is a variable of the .env file, which is the program's own, that begins with LIMITS_
// or REDIS_ and is not known.
//
// The environment belongs to others, too: Kubernetes sets LIMITS_SERVICE_HOST,
// LIMITS_PORT_80_TCP and the like for a Service named limits. There, a variable that
// is not known is left alone, unless it begins with LIMITS_ and ends as if it was meant
// for a limit: with MAX or WINDOW, misspelled by a letter or two (LIMITS_API_MAXX,
// LIMITS_API_WINDW) or after what is not a name (LIMITS_Api_MAX).
//
// # The URL of Redis
//
//	redis://user:password@host:6379/0    plain TCP; valkey:// means the same
//	rediss://user:password@host:6379/0   TLS; valkeys:// means the same
//	unix://user:password@/run/redis.sock a Unix socket; the database is ?db=0
//	memory://                            no Redis: a limit within this process only
//
// memory:// takes nothing after it. In the other ones, all but the scheme may be left
// out: the host is then localhost, the port 6379.
// Special characters in the user and the password must be percent-encoded. The
// parameters are those of rueidis.ParseURL, and mean the same:
//
//	addr=host:port      a further node of the cluster, or a further sentinel; repeatable
//	master_set=name     the addresses are sentinels, which know where this master is
//	db=0                the database, 0 or more
//	dial_timeout=5s     bounds connecting to one address, TLS and login included; 1ms or more
//	write_timeout=10s   bounds the wait for one reply; 1ms or more
//	skip_verify=true    do not check the server's certificate; for rediss and valkeys
//	protocol=2          2 or 3; 2 switches client-side caching off
//	client_cache=0      0 or 1; 0 switches client-side caching off
//	max_retries=0       only 0: do not retry commands that only read
//	client_name=name    the name of the connections in Redis: printable ASCII without spaces
//
// With master_set the user, the password and the database are those of the data
// nodes; the sentinels are asked without a login. With rediss both speak TLS.
//
// # Secrets
//
// The URL is held in a type that shows it without its user and password, however it
// is printed, logged or marshalled. No error or log record holds either.
//
// # Concurrency
//
// All functions and methods are safe for concurrent use, as long as nobody changes
// the Config.
package config
