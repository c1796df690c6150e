// Package config loads and checks the settings of a program that limits rates, and
// connects it to Redis.
//
// # Sources
//
// [Load] reads up to five sources. A later one overrides an earlier one, key by key. A
// missing .env file is no error; a missing YAML file is one.
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
//	redis.batch_size         REDIS_BATCH_SIZE                   1 to 10000; the default is that of slidingwindow.RedisConfig
//	redis.batches_in_flight  REDIS_BATCHES_IN_FLIGHT            1 to 1000; the default is that of slidingwindow.RedisConfig
//	redis.lease              REDIS_LEASE              0s        1ms or more, or 0s for none; see package lease
//	redis.client_cache       REDIS_CLIENT_CACHE       true      true or false
//	redis.skip_verify        REDIS_SKIP_VERIFY        false     true or false, with TLS
//	redis.ca_file            REDIS_CA_FILE                      the path of a PEM file
//	redis.cert_file          REDIS_CERT_FILE                    the path of a PEM file
//	redis.key_file           REDIS_KEY_FILE                     the path of a PEM file
//	redis.sentinel_username  REDIS_SENTINEL_USERNAME            the name of a user
//	redis.sentinel_password  REDIS_SENTINEL_PASSWORD            a text
//	redis.sentinel_tls       REDIS_SENTINEL_TLS                 true or false; the default is what the data nodes do
//	response.headers         RESPONSE_HEADERS         draft-11  draft-11 or draft-7, draft-6, legacy, or several of them; or none
//	response.refused_status  RESPONSE_REFUSED_STATUS  429       400 to 599
//	response.no_key_status   RESPONSE_NO_KEY_STATUS   403       400 to 599
//	response.failed_status   RESPONSE_FAILED_STATUS   503       400 to 599
//	client.ipv6_prefix       CLIENT_IPV6_PREFIX       56        32 to 64
//	client.key_secret        CLIENT_KEY_SECRET                  16 bytes or more
//	client.trusted_proxies   CLIENT_TRUSTED_PROXIES             addresses and ranges of addresses
//	client.proxy_header      CLIENT_PROXY_HEADER                X-Forwarded-For (the default), or a header that holds one address
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
// The name of a limit has lower-case letters, digits and underscores only, so that a
// variable can spell it. A duration needs a unit. A whole number has decimal digits
// only: no plus sign, no leading zeros. An empty variable counts as not set. A limit
// needs a max and a window.
//
// response.headers is a YAML list, or a text with commas ("draft-11, legacy"). The drafts
// are those of draft-ietf-httpapi-ratelimit-headers; draft-8, draft-9 and draft-10 mean
// the same as draft-11. legacy is X-RateLimit-*.
//
// client.trusted_proxies is a YAML list or a text with commas. Its items are addresses and
// ranges of addresses, such as 10.0.0.0/8.
//
// Every byte of a text counts, except spaces around the items of a list. It is an error if a
// text has a space, a line break, a byte order mark or quotes around it, or a control
// character in it. Otherwise two instances could read one setting in two ways.
//
// # Whom a limit counts
//
// by has one part, or several joined with +. Several parts count each combination by
// itself. Spaces around a part do not matter.
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
//	hashed:<part>   any of these, hashed with client.key_secret, which must be set
//
// A name is not empty, does not begin with a space and has no + in it. The program decides
// where the values of the parts come from; echomw.ParseKey takes the same text.
//
// # Unknown keys and variables
//
// An unknown key is an error in the YAML file and in the program's defaults.
//
// Other programs, such as Kubernetes and docker compose, use the environment and .env files too.
// So an unknown variable there is ignored, unless its name is close to one of ours: the case of
// letters differs, a hyphen or a dot replaces an underscore, or there is at most one slip in eight
// letters. REDIS_TIMOUT, REDIS_ON_FAILUER and RESPONSE_HEADER are errors. Digits must be the same.
// HOST and PORT are too short for a slip. REDIS_URI and REDIS_URLS are ignored, because other
// programs use them. Ours include the variables of every configured limit, so LIMIT_API_MAX is
// an error if there is a limit named api.
//
// A variable that begins with LIMITS_ is an error if it ends with a misspelled field, such as
// LIMITS_API_MAXX and LIMITS_API_WINDW, or has no name before its field, such as LIMITS_MAX. This
// holds whether or not the limit is configured. BY is too short for a slip. LIMITS_CREATED_BY is
// the by of a limit named created.
//
// Kubernetes sets LIMITS_SERVICE_PORT_BY for a Service named limits that has a port named by. The
// same variable would be the by of a limit named service_port. So a variable of a limit with
// _SERVICE_PORT_ in its name counts only if that limit has a max or a window, from any
// source. Such a variable never counts as a misspelling.
//
// # .env files
//
//	# a comment
//	export REDIS_URL=redis://${CACHE_HOST}:6379  # and another one
//	REDIS_PASSWORD='in single quotes $ and \ are nothing special'
//	CLIENT_KEY_SECRET="in double quotes \n, \r, \", \\ and \$ are one character"
//
// $NAME and ${NAME}, outside of single quotes, stand for the value of a variable: from a line
// above it or, if none sets it, from the environment. A variable without a value is an error, and
// the error names the line. Text that programs read in different ways is an error too: any other $,
// any other escape in double quotes, \' in single quotes, and \$ without quotes. Variables of
// other programs are not checked.
//
// # The URL of Redis
//
//	redis://user:password@host:6379/0    plain TCP; valkey:// means the same
//	rediss://user:password@host:6379/0   TLS; valkeys:// means the same
//	unix://user:password@/run/redis.sock a Unix socket; the database is ?db=0
//	memory://                            no Redis: a limit within this process only
//
// memory:// takes nothing after it. The other forms need only their scheme; the host
// defaults to localhost and the port to 6379. A unix:// URL needs its path.
// Special characters in the user and the password must be percent-encoded. The
// parameters are those of rueidis.ParseURL, and mean the same:
//
//	addr=host:port      one more node of the cluster, or one more sentinel; repeatable
//	master_set=name     the addresses are those of sentinels, which know where this master is
//	db=0                the database, 0 or more
//	dial_timeout=5s     bounds connecting to one address, TLS included; 1ms or more
//	write_timeout=2s    bounds the wait for one reply, also to the login; then the connection
//	                    counts as dead; 1ms or more; at least twice redis.timeout by default
//	skip_verify=true    do not check the server's certificate; for rediss and valkeys
//	protocol=2          2 or 3; 2 switches client-side caching off
//	client_cache=0      0 or 1; 0 switches client-side caching off
//	max_retries=0       only 0: do not retry commands that only read
//	client_name=name    the name of the connections in Redis: printable ASCII without spaces
//
// Platforms set REDIS_URL themselves, so some of its parts have settings of their own:
// redis.username, redis.password, redis.skip_verify and redis.client_cache. The same option in
// both places is an error. The login may be in both places if it is the same in both. A user
// without a password is an error, because it is mostly a password without its colon. Write
// user:@host for a user with an empty password.
//
// With master_set, the user, the password and the database are those of the data
// nodes. The sentinels have a login of their own: redis.sentinel_password, for the default user
// or for redis.sentinel_username. With rediss, the data nodes and the sentinels speak TLS;
// redis.sentinel_tls overrides this for the sentinels.
//
// # Connections
//
// A connection ends when the server sends a message that no command asked for, or refuses to
// decide; see package redisconn. No connection lives longer than redis.connection_lifetime. The
// client then looks the address up again and connects to it. No call fails because of this.
//
// # TLS
//
// With rediss and valkeys, the server's certificate must name the host of the address. It must
// be signed by an authority that the system trusts or, if redis.ca_file is set, by one in that
// file. A cluster and sentinels may name a node by its IP address; the certificate of such a node
// may name the host of the URL instead. A server that asks for a certificate gets the one in
// redis.cert_file, whose key is in redis.key_file. The files are read for every new connection, so
// a renewed certificate needs no restart. TLS is 1.2 or later.
//
// # Rights
//
// The user of the URL needs only these rights, where rl is redis.prefix:
//
//	ACL SETUSER limiter on >password ~rl:* +evalsha +eval +evalsha_ro +eval_ro +time +pexpire +unlink +zadd +zcard +zcount +zrange +zrem +zremrangebyrank +zscore +client|tracking +client|caching +cluster|slots +cluster|shards +info +ping
//
// In a cluster it also needs this one. Without it, calls for a slot that is being moved fail:
//
//	+asking
//
// Behind sentinels it also needs this one:
//
//	+role
//
// The user of the sentinels needs these:
//
//	ACL SETUSER limiter on >password &+sentinel &+slave &+sdown &-sdown &+switch-master &+reboot +sentinel|sentinels +sentinel|get-master-addr-by-name +subscribe +unsubscribe +client|tracking +ping
//
// A database other than 0 needs +select. FIPS 140 mode needs +script|load. In a cluster the store
// needs +cluster|slots; from version 8 of Redis and Valkey on, its client needs +cluster|shards too.
// A single server gets the same question once, at the start, and answers with an error.
//
// Open fails if a right is missing, and says which one. If a right is taken away later, the calls that
// need it fail with slidingwindow.ErrStoreUnavailable. Open does not notice two missing rights. Without
// +client|caching, Redis does not tell a process that another one called Reset, so a refused key can
// stay refused for up to 10 seconds. Without +info, Connect cannot tell that a server is too old.
//
// # Secrets
//
// [URL] shows itself without its user and password, however it is printed, logged or marshalled.
// client.key_secret, redis.password and redis.sentinel_password are a [Secret], which never shows
// itself. No error and no log record holds any of them.
//
// # Concurrency
//
// All functions and methods are safe for concurrent use, as long as nobody changes
// the Config.
package config
