// Package storetest proves that a store keeps the promises of package store, whatever it is made of. An adapter's own
// test is a harness that opens an empty store:
//
//	storetest.Run(t, func(t *testing.T) storetest.Harness { … })
//
// It also has Memory, a store for tests of dispatchers.
package storetest
