// Package session is the request scope: what state a request's session on a database is in, and what
// has to be sent to the server for an operation. A statement is a small resumable engine: Step takes
// what happened since the last step and returns what is needed next (wait, send and receive, encode,
// done); it never blocks and never calls back.
//
//	start ──► acquire ──► settle ──► (probe) ──► describe ──► encode ──► execute ──► over
//	             │           │                      │  ▲         │          │
//	           wait fd     wait fd                 I/O └──types──┘         I/O
//
// Invariants
//   - One operation at a time per session; the C side's lock serialises callers.
//   - A session has at most one connection, from its first need to finalize, and gives it back once.
//     Sessions of a nested pool share one, for an operation each (nested.go).
//   - tx is changed by one function (transition), from what the server said or what is owed to it.
//   - A connection that was in I/O when its operation was given up is closed, never reused.
//   - A connection that is handed over without its reset gets it ahead of the first statement, in the
//     step that takes it.
//   - An error of the server is told to the caller once, as data; nothing is retried that may have run.
//   - A session has one stream at most; any other operation ends it before it begins.
//   - mu is held for the length of one Step only, never across a wait. Lock order: Session.mu, then
//     the pool's.
package session
