// Package storetest tests that a [slidingwindow.Store] does what the interface promises. It is for
// those who write a Store of their own, or a decorator over one.
//
// A test of the Store calls [Run] with a function that opens it:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Harness {
//			clock := storetest.Epoch
//			store := mystore.New(mystore.Config{Clock: func() time.Time { return clock }})
//			return storetest.Harness{Store: store, Advance: func(d time.Duration) { clock = clock.Add(d) }}
//		})
//	}
//
// The Store must decide on a clock that the test can set, so that the tests are exact and wait for
// nothing. A decorator is tested over a Store whose clock can be set, such as that of package memory.
//
// The subtests whose names begin with Promise are the promises of the algorithm, which the README
// lists. The subtest Model makes random calls and compares each answer, in every field, with that of
// a naive model. It draws 100 times unless the flag -rapid.checks says otherwise.
//
// The example of this package is a complete Store in about 135 lines, which passes all of the suite.
package storetest
