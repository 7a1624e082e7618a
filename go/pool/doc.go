// Package pool keeps connections to one PostgreSQL database: it dials them (pgconn authenticates and
// does TLS), hands them out in order of asking, takes them back, and retires them. It knows no
// requests and no transactions: who holds a connection is a Holder to it.
//
// Invariants
//   - A connection is in exactly one place: dialing, idle, held, or gone. All moves are under Pool.mu.
//   - Waiters are served first come, first served: no one takes an idle connection while someone waits.
//   - What is Unreset is reset by whoever sends next, ahead of what he sends, or soon by the pool.
//   - Nothing here blocks a caller. What must wait is told by a descriptor that becomes readable.
//   - A descriptor is in the fork table from before it connects until it is closed.
//   - Only the holder closes a held connection's descriptor; others shut it down (Kill), so that a
//     descriptor's number is never reused under someone who polls it.
//   - Every goroutine starts through Go, which recovers.
package pool
