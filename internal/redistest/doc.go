// Package redistest gives a test a real Redis: that of REDIS_URL, unless memory://; else what the
// package's own starters bring up, such as a container; else a private redis-server
// process. When there is none, the test fails and says what to install: it never skips.
//
// A package whose tests use it calls [Main] from its TestMain.
package redistest
