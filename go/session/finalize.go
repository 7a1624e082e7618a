package session

import (
	"hypern/go/pool"
	"hypern/go/wire"
)

// What a reset says: DISCARD ALL in parts, but for the prepared statements, which are ours, and
// plans, which are worth keeping. https://www.postgresql.org/docs/current/sql-discard.html
//
// The locks go by a prepared statement: planning the SELECT anew would be half the cost of the
// whole. It returns no row, since nobody is there to take it. SESSION AUTHORIZATION looks up a role
// each time, and the server reports it, so that it is reset where it was changed.
const (
	unlockSQL = "SELECT 1 WHERE pg_catalog.pg_advisory_unlock_all() IS NULL"
	resetSQL  = "RESET ROLE;RESET ALL;CLOSE ALL;UNLISTEN *;DISCARD TEMP;DISCARD SEQUENCES"
	authSQL   = ";SET SESSION AUTHORIZATION DEFAULT"
	forgetSQL = ";DEALLOCATE ALL"
)

// finalize ends the session: commit or roll back, reset, release. Only a COMMIT is waited for; what
// follows it travels in the same write and is collected at the connection's next acquire.
func (s *Session) finalize(c *Call) {
	if s.conn == nil {
		var fault *wire.Fault
		if s.tx.lost && !s.told {
			fault = s.lostFault()
		}
		s.op.quiet = s.tx.lost && s.told && s.autoCommit && !s.marked
		s.leave(c, fault)
		return
	}
	open := s.tx.server == 'T' || s.tx.server == 'E'
	ofStream := s.stream != nil && s.stream.own // what it has done commits by itself, as any statement
	commit := s.tx.server == 'T' && s.autoCommit && !s.marked || ofStream
	s.op.quiet = s.tx.server == 'E' && s.autoCommit && !s.marked
	s.owed = s.owed[:0]
	if commit {
		c.Head = wire.AppendSync(s.appendCommand(c.Head, "COMMIT"))
		s.op.sql = "COMMIT"
	}
	clean := s.used && s.conn.Reset == pool.ResetFull
	if rollback := open && !commit; rollback || clean {
		c.Head = s.appendReset(c.Head, rollback, clean)
		s.conn.Owed++
	}
	switch {
	case commit:
		s.beginIO(phaseVerdict)
		c.io(0, 1)
	case len(c.Head) == 0:
		s.leave(c, nil)
	default:
		n := s.conn.Send(c.Head)
		if n == len(c.Head) {
			c.Head = c.Head[:0]
			s.leave(c, nil)
			return
		}
		c.Head = append(c.Head[:0], c.Head[n:]...)
		s.beginIO(phaseFarewell)
		c.io(0, 0)
	}
}

// appendReset appends what the connection needs before it serves someone else: a rollback, and the
// undoing of everything a session can set. Its answer ends with one ReadyForQuery.
func (s *Session) appendReset(dst []byte, rollback, clean bool) []byte {
	text := ""
	if rollback {
		text = "ROLLBACK;"
	}
	if clean {
		text += resetSQL
		if s.conn.Reauthorized() {
			text += authSQL
		}
		name := ""
		if !rollback && !s.conn.Prepared { // it cannot run in an aborted transaction
			dst, name = s.prepareCommand(dst, unlockSQL)
		}
		if name != "" {
			dst = wire.AppendExecute(wire.AppendBindNothing(dst, name))
		} else {
			text += ";" + unlockSQL
		}
		if s.conn.Prepared {
			s.conn.Prepared = false
			s.conn.Statements.Clear()
			text += forgetSQL
		}
	}
	return wire.AppendQuery(dst, text)
}

// farewell follows a rollback and reset that nobody waits for.
func (s *Session) farewell(c *Call) { s.leave(c, nil) }

// leave releases the connection and closes the session; fault is what finalize has to report.
func (s *Session) leave(c *Call, fault *wire.Fault) {
	quiet := s.op.quiet
	s.release()
	s.close()
	if fault != nil {
		c.fail(fault)
		return
	}
	c.done(0)
	if quiet {
		c.Count = 1 // a commit was due, and the transaction had been aborted
	}
}

// close takes the session out of the registry; its handle answers SessionClosed from now on.
func (s *Session) close() {
	s.release()
	s.tx = s.tx.transition(evClosed, 0)
	s.first, s.owed = nil, nil
	s.registry.remove(s)
}
