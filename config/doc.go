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
//	YAML                     variable                 default   allowed
//	host                     HOST                               a host name or an IP address; "" is every address
//	port                     PORT                     8080      1 to 65535
//	redis.url                REDIS_URL                required  see below
//	redis.username           REDIS_USERNAME                     the name of a user
//	redis.password           REDIS_PASSWORD                     a text
//	redis.prefix             REDIS_PREFIX             rl        1 to 64 printable ASCII characters other than the space, { and }
//	redis.timeout            REDIS_TIMEOUT            250ms     1ms or more
//	redis.connection_lifetime  REDIS_CONNECTION_LIFETIME  1m  1s or more
//	redis.on_failure         REDIS_ON_FAILURE         closed    closed, open or fallback; see Redis.Open
//	redis.instances          REDIS_INSTANCES          1         1 to 1000000, with fallback
//	redis.batch_size         REDIS_BATCH_SIZE                   1 to 10000; not set, it is as in slidingwindow.RedisConfig
//	redis.batches_in_flight  REDIS_BATCHES_IN_FLIGHT            1 to 1000; not set, it is as in slidingwindow.RedisConfig
//	redis.client_cache       REDIS_CLIENT_CACHE       true      true or false
//	redis.skip_verify        REDIS_SKIP_VERIFY        false     true or false, with TLS
//	redis.ca_file            REDIS_CA_FILE                      the path of a PEM file
//	redis.cert_file          REDIS_CERT_FILE                    the path of a PEM file
//	redis.key_file           REDIS_KEY_FILE                     the path of a PEM file
//	redis.sentinel_username  REDIS_SENTINEL_USERNAME            the name of a user
//	redis.sentinel_password  REDIS_SENTINEL_PASSWORD            a text
//	redis.sentinel_tls       REDIS_SENTINEL_TLS                 true or false; not set, it is as for the data nodes
//	response.headers         RESPONSE_HEADERS         draft-11  draft-6, legacy, and draft-11 or draft-7, or any of them together; or none
//	response.refused_status  RESPONSE_REFUSED_STATUS  429       400 to 599
//	response.no_key_status   RESPONSE_NO_KEY_STATUS   403       400 to 599
//	response.failed_status   RESPONSE_FAILED_STATUS   503       400 to 599
//	client.ipv6_prefix       CLIENT_IPV6_PREFIX       56        32 to 64
//	client.key_secret        CLIENT_KEY_SECRET                  16 bytes or more
//	client.trusted_proxies   CLIENT_TRUSTED_PROXIES             addresses and ranges of addresses
//	client.proxy_header      CLIENT_PROXY_HEADER                X-Forwarded-For, which is the default, or a header that holds one address
//	limits.<name>.max        LIMITS_<NAME>_MAX                  see slidingwindow.Limit
//	limits.<name>.window     LIMITS_<NAME>_WINDOW               see slidingwindow.Limit
//	limits.<name>.resolution LIMITS_<NAME>_RESOLUTION 0s        see slidingwindow.Limit
//	limits.<name>.by         LIMITS_<NAME>_BY                   see below; "" leaves it to the program
//	limits.<name>.mode       LIMITS_<NAME>_MODE       enforce   enforce, shadow or off
//
// As a YAML file:
//
//	port: 8080
//	redis:
//	  url: redis://localhost:6379
//	response:
//	  headers: [draft-11, legacy]
//	limits:
//	  api:
//	    max: 100
//	    window: 15m
//	    by: ip+route
//
// The name of a limit is made of lower-case letters, digits and underscores, so that
// it can be spelled in a variable too. A duration needs a unit. A whole number is
// written in decimal digits, without a plus sign or leading zeros. An empty variable
// counts as not set. A limit needs a max and a window.
//
// The formats of response.headers are a YAML list, or a text with commas ("draft-11,
// legacy"). The drafts are those of draft-ietf-httpapi-ratelimit-headers; draft-8,
// draft-9 and draft-10 mean the same as draft-11. legacy is X-RateLimit-*.
//
// client.trusted_proxies is a YAML list or a text with commas, too, of addresses and ranges such
// as 10.0.0.0/8.
//
// A text is taken byte by byte, but for the spaces around the items of a list. One that has
// a space, a line end, a byte order mark or quotes around it, or a control character in it, is an
// error: two instances could else have one setting in two ways.
//
// # Whom a limit counts
//
// by is one part, or several joined with +, to count each combination by itself. Spaces
// around a part do not count.
//
//	ip              the client's IP address
//	pattern         the pattern of the route, for all methods
//	ip:header:<n>   the IP address in a header that a proxy sets; the name is a token
//	route           the method and the pattern of the route
//	header:<name>   a header; the name is a token (RFC 9110, section 5.6.2)
//	cookie:<name>   a cookie; the name is a token, too
//	query:<name>    a parameter of the URL's query
//	param:<name>    a parameter of the route's path
//	form:<name>     a field of a form
//	hashed:<part>   any of these, hashed with client.key_secret, which is required then
//
// A name is not empty, does not begin with a space and has no + in it. What the values
// of the parts are is up to the program; echomw.ParseKey takes the same text.
//
// # What is not known
//
// A key that is not known is an error, in the YAML file and in the program's defaults.
//
// The environment and .env files belong to others, too, such as Kubernetes and docker compose.
// One rule is for both: a variable that is not known is left alone, unless it is nearly one of
// ours. That is one that differs by other cases of its letters, by a hyphen or a dot for an
// underscore, or by one slip in eight letters: REDIS_TIMOUT, REDIS_ON_FAILUER, RESPONSE_HEADER.
// Digits are no slips, HOST and PORT have no letter to spare, and REDIS_URI and REDIS_URLS are
// known to be used by others. The variables of each limit that is configured count
// among ours: LIMIT_API_MAX.
//
// A variable that begins with LIMITS_ and ends as if it was meant for a limit, with a misspelled
// MAX, WINDOW or SHADOW (LIMITS_API_MAXX, LIMITS_API_WINDW), or with a field after what is not a
// name (LIMITS_MAX), is an error for any limit. BY is too short for a misspelling to be told,
// and LIMITS_CREATED_BY is known: it is the by of a limit named created.
//
// For a port of that Service that is named by, Kubernetes sets LIMITS_SERVICE_PORT_BY,
// which could be the by of a limit named service_port. A BY or SHADOW with _SERVICE_PORT_ in its name counts only if its limit has a max or a window,
// from any source. No variable with _SERVICE_PORT_ in it is taken for a misspelling.
//
// # .env files
//
//	# a comment
//	export REDIS_URL=redis://${CACHE_HOST}:6379  # and another one
//	REDIS_PASSWORD='in single quotes $ and \ are nothing special'
//	CLIENT_KEY_SECRET="in double quotes \n, \r, \", \\ and \$ are one character"
//
// $NAME and ${NAME}, outside of single quotes, stand for a variable that was set above it, or else
// in the environment. One that has no value is an error with its line. So is what programs
// read in different ways: another $ or, in double quotes, another escape; \' in single
// quotes; \$ without quotes. A variable that is not ours is not judged.
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
//	dial_timeout=5s     bounds connecting to one address, TLS included; 1ms or more
//	write_timeout=2s    bounds the wait for one reply, that to the login too, after which the
//	                    connection counts as dead; 1ms or more; twice redis.timeout if that is more
//	skip_verify=true    do not check the server's certificate; for rediss and valkeys
//	protocol=2          2 or 3; 2 switches client-side caching off
//	client_cache=0      0 or 1; 0 switches client-side caching off
//	max_retries=0       only 0: do not retry commands that only read
//	client_name=name    the name of the connections in Redis: printable ASCII without spaces
//
// The user and the password may be in redis.username and redis.password instead, each by
// itself, and skip_verify and client_cache in the settings of these names, for a URL that a
// platform sets. What is in both places is an error, unless it is the same user or password. A
// user without a password is an error, too, as it is mostly a password without its colon; a
// user that has none is written user:@host.
//
// With master_set the user, the password and the database are those of the data
// nodes. The login of the sentinels, if they want one, is redis.sentinel_password, for the
// default user or for redis.sentinel_username. With rediss both speak TLS, unless
// redis.sentinel_tls says otherwise of the sentinels.
//
// # Connections
//
// A connection ends when the server sends what no command asked for, or refuses to decide; see
// package redisconn, which the connections are made with. No connection lives longer than
// redis.connection_lifetime. The client then connects again, to where the address leads by
// then; no call fails by that bound.
//
// # TLS
//
// With rediss and valkeys the server's certificate must be signed by an authority of
// the system, or of redis.ca_file instead, and hold the host of the address. A node that a
// cluster or the sentinels name by its IP address may show the host of the URL instead.
// A server that asks for a certificate gets that of redis.cert_file, with its key in
// redis.key_file. The files are read for every new connection, so that renewed ones
// need no restart. TLS is 1.2 or later.
//
// # Rights
//
// The user of the URL needs no more than these rights, rl being redis.prefix:
//
//	ACL SETUSER limiter on >password ~rl:* +evalsha +eval +evalsha_ro +eval_ro +time +pexpire +unlink +zadd +zcard +zcount +zrange +zrem +zremrangebyrank +zscore +client|tracking +client|caching +cluster|slots +cluster|shards +info +ping
//
// In a cluster it needs these as well, or calls for a slot that is being moved fail:
//
//	+asking
//
// And behind sentinels this one:
//
//	+role
//
// A user of the sentinels' own needs these:
//
//	ACL SETUSER limiter on >password &+sentinel &+slave &+sdown &-sdown &+switch-master &+reboot +sentinel|sentinels +sentinel|get-master-addr-by-name +subscribe +unsubscribe +client|tracking +ping
//
// Another database than 0 needs +select, FIPS 140 mode +script|load. In a cluster the store asks
// for +cluster|slots, and its client for +cluster|shards too from version 8 of Redis and Valkey on.
// Where there is no cluster the client asks once at the start, and its answer then is an error.
//
// Without a right, Open fails, and says which one it is. If it is taken away later, the calls that
// need it fail with slidingwindow.ErrStoreUnavailable. Two are missed by nobody but their users: without
// +client|caching Redis does not tell of a Reset by another process, so that a refused key can
// stay refused for up to 10 seconds; without +info Connect cannot tell that a server is too old.
//
// # Secrets
//
// The URL is held in a type that shows it without its user and password, client.key_secret,
// redis.password and redis.sentinel_password in one that does not show them, however they are printed, logged or
// marshalled. No error or log record holds them.
//
// # Concurrency
//
// All functions and methods are safe for concurrent use, as long as nobody changes
// the Config.
package config
