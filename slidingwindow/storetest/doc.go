// Package storetest is what any slidingwindow.Store must do: the promises of the
// algorithm, as tests, and a naive model of it to compare a store with.
//
// The tests set the store's clock, so that they are exact and wait for nothing.
package storetest
