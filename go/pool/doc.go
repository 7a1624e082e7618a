// Package pool keeps connections to one PostgreSQL database: it hands them out in order of asking, takes
// them back, has more dialed and retires them. It knows no requests and no transactions: who holds a
// connection is a Holder to it. What happens on a connection is package connection's business.
//
// Invariants
//   - A connection is in exactly one place: dialing, idle, held, or gone. All moves are under Pool.mu.
//   - Waiters are served first come, first served: no one takes an idle connection while someone waits.
//   - A reset that is pending is sent by whoever sends next, ahead of the statement, or soon by the pool.
//   - Nothing here blocks a caller. What must wait has a descriptor that becomes readable.
package pool
