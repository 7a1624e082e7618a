// Package connection is one connection to a PostgreSQL server: it is dialed (pgconn authenticates and does
// TLS), knows its statements and what they are parsed under, and is reset between two requests. It knows
// neither pools nor sessions; what the connections of one pool learn together is kept by their Dialer.
//
// Invariants
//   - Whoever holds a connection owns it. Others only condemn it, shut it down (Kill) or cancel its statement.
//   - Only the holder closes the descriptor, so that its number is never reused under someone who polls it.
//   - What the request before has set is gone before a statement runs: the state of the reset is one value.
//   - Nothing here blocks but Dial, WindUp and AwaitCancels, which have goroutines of their own.
package connection
