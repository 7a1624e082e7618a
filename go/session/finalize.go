package session

import (
	"fmt"

	"hypern/go/wire"
)

// finalize ends the session: commit or roll back, reset, release. Only a COMMIT is waited for; what
// follows it is sent in the same write, and its answer read at the connection's next acquire. Where the
// next statement is not far, the reset is left to it (pool.PassOn).
func (s *Session) finalize(c *Call) {
	wanted := s.autoCommit && !s.marked
	if len(s.blocks) > 0 {
		s.op.failed = s.openBlock()
		wanted = false
	}
	commits := wanted && !s.failed
	if s.conn == nil {
		switch {
		case s.op.failed != nil:
		case s.tx.lost && !s.told:
			s.op.failed = s.lostFault()
		case s.tx.lost && wanted:
			s.op.failed = s.uncommittedFault()
		}
		s.leave(c)
		return
	}
	open := s.tx.server == 'T' || s.tx.server == 'E'
	ofStream := s.stream != nil && s.stream.own // what it has done commits by itself, as any statement
	commit := s.tx.server == 'T' && commits || ofStream
	if s.tx.server == 'E' && wanted {
		s.op.failed = s.uncommittedFault()
	}
	s.owed = s.owed[:0]
	if s.nests() {
		s.finalizeNested(c, commit)
		return
	}
	clean := (s.used || s.conn.Unreset()) && s.conn.Resets()
	if !commit {
		s.part(c, open, clean)
		return
	}
	c.Head = wire.AppendQuery(c.Head, "COMMIT")
	s.op.sql = "COMMIT"
	s.op.unreset = clean && s.pool.Defers(s.conn)
	if clean && !s.op.unreset {
		c.Head = s.conn.AppendReset(c.Head, false, true)
	}
	s.beginIO(phaseVerdict)
	c.io(0, 1)
}

// part sends what nobody waits for and leaves, or passes the connection on with its reset pending.
func (s *Session) part(c *Call, rollback, clean bool) {
	if clean && !rollback {
		if s.pool.PassOn(s.conn) {
			s.parted()
			s.leave(c)
			return
		}
	}
	if rollback || clean {
		c.Head = s.conn.AppendReset(c.Head[:0], rollback, clean)
		n := s.conn.Send(c.Head)
		if n < len(c.Head) {
			c.Head = append(c.Head[:0], c.Head[n:]...)
			s.beginIO(phaseFarewell)
			c.io(0, 0)
			return
		}
		c.Head = c.Head[:0]
	}
	s.leave(c)
}

// retryOnNewConnection runs a statement anew, since the reset ahead of it has failed: the server has skipped
// it, or it has run in a transaction that is rolled back. Where the server has refused the reset, the connection
// is repaired and counts as new; else another one is acquired.
func (s *Session) retryOnNewConnection(c *Call) {
	conn := s.conn
	s.owed = append(s.owed, s.sent...) // BEGIN among them
	if s.op.statement != nil {
		s.op.sql = s.op.statement.SQL
	}
	s.op.statement, s.op.phase = nil, phaseNone
	s.op.fresh, s.op.got = false, answer{}
	if conn.Refused() && conn.Repair() {
		s.parted()
		if !s.settle(c, conn) {
			return
		}
	} else {
		conn.Break()
		s.release()
	}
	s.acquire(c)
}

// ResetDeferred resets the connection that the session has and has not used yet; its answer comes
// before the next statement's.
func (s *Session) ResetDeferred() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || !s.conn.Unreset() || s.op.phase != phaseNone {
		return
	}
	if s.conn.ResetNow() {
		s.conn.Follow()
	} else {
		s.release() // nothing has been sent: the next statement has another one
	}
}

// leave releases the connection, if it still has one, and closes the session.
func (s *Session) leave(c *Call) {
	fault, open := s.op.failed, s.tx.active()
	s.release()
	s.close()
	if !s.op.hooks.known { // a COMMIT has decided by its answer
		s.settleFinalized(open, fault)
	}
	if fault != nil {
		c.fail(fault)
		return
	}
	c.done(0)
}

// uncommittedFault is what the end of a session reports where a commit was due and the transaction had
// been aborted, or lost, by an error that the caller was given and went on from.
func (s *Session) uncommittedFault() *wire.Fault {
	if s.inDoubt {
		return &wire.Fault{Kind: wire.KindTransactionAborted, Cause: s.first, Message: fmt.Sprintf("whether the "+
			"transaction of request %q was committed is not known: its connection was lost during COMMIT", s.key.request)}
	}
	return &wire.Fault{Kind: wire.KindTransactionAborted, SQLState: wire.StateAborted, Cause: s.first,
		Message: fmt.Sprintf("nothing that request %q did in its transaction was committed: a statement in it had "+
			"failed, and the code went on as if it had not", s.key.request)}
}

// close takes the session out of the registry; its handle answers SessionClosed from now on.
func (s *Session) close() {
	s.release()
	s.tx = s.tx.transition(evClosed, 0)
	s.first, s.owed = nil, nil
	s.blocks, s.void, s.savepoints = nil, nil, nil
	s.registry.remove(s)
}
