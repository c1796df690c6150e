// Package browser tests the playground's page in a real headless Chromium, on a real Redis. It is
// a module of its own, so that no user inherits what drives the browser.
//
// "make browser" runs it, and installs Chromium if it may. Its tests have the build tag browser,
// because "make test" must do without one.
package browser
