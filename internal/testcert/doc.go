// Package testcert makes certificates for tests of TLS: an authority, and what it signs,
// good or bad in one way. They are written to a test's own folder, and are gone after it.
package testcert
