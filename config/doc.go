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
//	redis.prefix             REDIS_PREFIX             rl        1 to 64 printable ASCII characters other than the space, { and }
//	redis.timeout            REDIS_TIMEOUT            250ms     1ms or more
//	redis.on_failure         REDIS_ON_FAILURE         closed    closed, open or fallback; see Redis.Open
//	redis.instances          REDIS_INSTANCES          1         1 to 1000000, with fallback
//	redis.ca_file            REDIS_CA_FILE                      the path of a PEM file
//	redis.cert_file          REDIS_CERT_FILE                    the path of a PEM file
//	redis.key_file           REDIS_KEY_FILE                     the path of a PEM file
//	redis.sentinel_username  REDIS_SENTINEL_USERNAME            the name of a user
//	redis.sentinel_password  REDIS_SENTINEL_PASSWORD            a text
//	response.headers         RESPONSE_HEADERS         draft-11  draft-11, draft-7, draft-6, legacy, or any of them together; or none
//	response.refused_status  RESPONSE_REFUSED_STATUS  429       400 to 599
//	response.no_key_status   RESPONSE_NO_KEY_STATUS   403       400 to 599
//	response.failed_status   RESPONSE_FAILED_STATUS   503       400 to 599
//	client.ipv6_prefix       CLIENT_IPV6_PREFIX       56        32 to 64
//	client.key_secret        CLIENT_KEY_SECRET                  16 bytes or more
//	limits.<name>.max        LIMITS_<NAME>_MAX                  see slidingwindow.Limit
//	limits.<name>.window     LIMITS_<NAME>_WINDOW               see slidingwindow.Limit
//	limits.<name>.by         LIMITS_<NAME>_BY                   see below; "" leaves it to the program
//	limits.<name>.shadow     LIMITS_<NAME>_SHADOW     false     true or false
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
// counts as not set. A limit needs a max and a window; shadow is true or false only, in
// a YAML file as YAML spells these, and never yes, on or 1.
//
// The formats of response.headers are a YAML list, or a text with commas ("draft-11,
// legacy"). The drafts are those of draft-ietf-httpapi-ratelimit-headers; draft-8,
// draft-9 and draft-10 mean the same as draft-11. legacy is X-RateLimit-*.
//
// # Whom a limit counts
//
// by is one part, or several joined with +, to count each combination by itself. Spaces
// around a part do not count.
//
//	ip              the client's IP address
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
// A key that is not known is an error, in the YAML file and in the program's defaults. So
// is a variable of the .env file, which is the program's own, that begins with LIMITS_
// or REDIS_ and is not known. Others have RESPONSE_... and CLIENT_... there as well
// (CLIENT_ID, say), so of these only what differs by a letter or two from a known variable
// is an error, in any case of the letters: RESPONSE_HEADER, CLIENT_KEY_SECRETS.
//
// The environment belongs to others, too: Kubernetes sets LIMITS_SERVICE_HOST,
// LIMITS_PORT_80_TCP and the like for a Service named limits. There, a variable that
// is not known is left alone, unless it begins with LIMITS_ and ends as if it was meant
// for a limit: with MAX, WINDOW or SHADOW, misspelled by a letter or two
// (LIMITS_API_MAXX, LIMITS_API_WINDW) or after what is not a name (LIMITS_Api_MAX), or
// with BY after what is not a name. BY is too short for a misspelling to be told, and
// LIMITS_CREATED_BY is known: it is the by of a limit named created.
//
// For a port of that Service that is named by, Kubernetes sets LIMITS_SERVICE_PORT_BY,
// which could be the by of a limit named service_port. In the environment, a BY or
// SHADOW with _SERVICE_PORT_ in its name counts only if its limit has a max or a window,
// from any source. No variable with _SERVICE_PORT_ in it is taken for a misspelling.
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
// With master_set the user, the password and the database are those of the data
// nodes. The login of the sentinels, if they want one, is redis.sentinel_password, for the
// default user or for redis.sentinel_username. With rediss both speak TLS.
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
//	ACL SETUSER limiter on >password ~rl:* +evalsha +eval +evalsha_ro +eval_ro +time +pexpire +unlink +zadd +zcard +zcount +zrange +zrem +zremrangebyrank +zscore +client|tracking +client|caching +cluster|slots +info +ping
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
// Another database than 0 needs +select, FIPS 140 mode +script|load. From Redis 7.2 on,
// +client|setinfo keeps ACL LOG clean.
//
// Without a right, the calls that need it fail with slidingwindow.ErrStoreUnavailable, and
// ACL LOG says which one it is. Two are missed by nobody but their users: without
// +client|caching Redis does not tell of a Reset by another process, so that a refused key can
// stay refused for up to 10 seconds; without +info Connect cannot tell that a server is too old.
//
// # Secrets
//
// The URL is held in a type that shows it without its user and password, client.key_secret and
// redis.sentinel_password in one that does not show them, however they are printed, logged or
// marshalled. No error or log record holds them.
//
// # Concurrency
//
// All functions and methods are safe for concurrent use, as long as nobody changes
// the Config.
package config
