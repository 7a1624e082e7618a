// Package process holds what the core owes to the process it is loaded into, whatever it is used for: the
// goroutines it starts, the clock it reads, and the descriptors it opens, which forked children must close.
// It knows no connection and no protocol.
//
// Invariants
//   - Every goroutine starts through Go, which recovers.
//   - A descriptor is in the fork table from before it is used until it is closed, and none is opened while
//     the process forks.
package process
