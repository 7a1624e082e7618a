package session

import (
	"fmt"

	"hypern/go/wire"
)

// finalizing ends the session: commit or roll back, reset, release. Only a COMMIT is waited for; what
// follows it is sent in the same write, and its answer read at the connection's next acquire. Where the
// next statement is not far, the reset is left to it (pool.PassOn).
type finalizing struct {
	fault   *wire.Fault // what to report
	unreset bool        // COMMIT went without the reset, for whoever is next to send
}

func (o *finalizing) start(s *Session, c *Call) {
	wanted := s.autoCommit && !s.marked
	if len(s.blocks) > 0 {
		o.fault = s.openBlock()
		wanted = false
	}
	commits := wanted && !s.failed
	if s.conn == nil {
		switch {
		case o.fault != nil:
		case s.tx.lost && !s.told:
			o.fault = s.lostFault()
		case s.tx.lost && wanted:
			o.fault = s.uncommittedFault()
		}
		o.leave(s, c)
		return
	}
	open := s.tx.server == 'T' || s.tx.server == 'E'
	ofStream := s.ownStream() // what it has done commits by itself, as any statement
	if fault := s.pastDeadline(); fault != nil && (s.tx.server == 'T' && commits || ofStream) {
		o.fault, commits, open, ofStream = fault, false, true, false
	}
	commit := s.tx.server == 'T' && commits || ofStream
	if s.tx.server == 'E' && wanted {
		o.fault = s.uncommittedFault()
	}
	s.prelude.clear()
	if s.nests() {
		s.finalizeNested(c, commit)
		return
	}
	clean := (s.used || s.conn.Unreset()) && s.conn.Resets()
	if !commit {
		o.part(s, c, open, clean)
		return
	}
	c.Head = wire.AppendQuery(c.Head, "COMMIT")
	s.op.sql = "COMMIT"
	s.beginIO(phaseVerdict)
	s.op.commits = true
	s.commitTail(c)
	o.unreset = clean && s.pool.Defers(s.conn)
	if clean && !o.unreset {
		c.Head = s.conn.AppendReset(c.Head, false, true)
	}
	c.io(0, 1)
}

func (o *finalizing) resume(s *Session, c *Call) {
	if s.op.phase == phaseFarewell {
		o.leave(s, c)
		return
	}
	report := o.fault
	if !s.nests() {
		report = nil
	}
	o.fault = s.verdict("", report)
	// COMMIT may have been cancelled before it began.
	if open := s.op.got.status != 'I'; o.unreset || open && !s.conn.ResetSent() {
		o.part(s, c, open, o.unreset)
		return
	}
	o.leave(s, c)
}

// part sends what nobody waits for and leaves, or passes the connection on with its reset pending.
func (o *finalizing) part(s *Session, c *Call, rollback, clean bool) {
	if s.undo(c, rollback, clean) {
		o.leave(s, c)
	}
}

// undo undoes what the connection was used for, so that it can be released, or passes it on with its reset
// pending. It returns false if C has to send the rest, in phaseFarewell.
func (s *Session) undo(c *Call, rollback, clean bool) bool {
	if clean && !rollback {
		if s.pool.PassOn(s.conn) {
			s.parted()
			return true
		}
	}
	if rollback || clean {
		c.Head = s.conn.AppendReset(c.Head[:0], rollback, clean)
		n := s.conn.Send(c.Head)
		if n < len(c.Head) {
			c.Head = append(c.Head[:0], c.Head[n:]...)
			s.beginIO(phaseFarewell)
			c.io(0, 0)
			return false
		}
		c.Head = c.Head[:0]
	}
	return true
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
func (o *finalizing) leave(s *Session, c *Call) {
	open := s.tx.active()
	s.losesTrack(false)
	s.release()
	s.close()
	if !s.op.hooks.known { // a COMMIT has decided by its answer
		s.settleFinalized(open, o.fault)
	}
	if o.fault != nil {
		c.fail(o.fault)
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
	s.first, s.prelude = nil, prelude{}
	s.blocks, s.void, s.savepoints = nil, nil, nil
	s.registry.remove(s)
}
