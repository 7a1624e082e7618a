package session

import (
	"slices"
	"strings"

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
	authSQL   = ";SET SESSION AUTHORIZATION DEFAULT"
	forgetSQL = ";DEALLOCATE ALL"
)

var (
	resetCommands = []string{"RESET ROLE", "RESET ALL", "CLOSE ALL", "UNLISTEN *", "DISCARD TEMP", "DISCARD SEQUENCES"}
	resetSQL      = strings.Join(resetCommands, ";")
	undoCommands  = slices.Concat([]string{"BEGIN", unlockSQL}, resetCommands, []string{"COMMIT"})
)

// finalize ends the session: commit or roll back, reset, release. Only a COMMIT is waited for; what
// follows it travels in the same write and is collected at the connection's next acquire. Where
// somebody is waiting for the connection to send a statement, the reset is left to him.
func (s *Session) finalize(c *Call) {
	if s.conn == nil {
		if s.tx.lost && !s.told {
			s.op.failed = s.lostFault()
		}
		s.op.quiet = s.tx.lost && s.told && s.autoCommit && !s.marked
		s.leave(c)
		return
	}
	open := s.tx.server == 'T' || s.tx.server == 'E'
	ofStream := s.stream != nil && s.stream.own // what it has done commits by itself, as any statement
	commit := s.tx.server == 'T' && s.autoCommit && !s.marked || ofStream
	s.op.quiet = s.tx.server == 'E' && s.autoCommit && !s.marked
	s.owed = s.owed[:0]
	clean := s.used && s.conn.Reset == pool.ResetFull
	if !commit {
		s.part(c, open, clean)
		return
	}
	c.Head = wire.AppendSync(s.appendCommand(c.Head, "COMMIT"))
	s.op.sql = "COMMIT"
	s.op.unreset = clean && s.canHandOver() && s.pool.WaitsPrompt()
	if clean && !s.op.unreset {
		c.Head = s.appendReset(c.Head, false, true)
		s.conn.Owed++
	}
	s.beginIO(phaseVerdict)
	c.io(0, 1)
}

// part sends what nobody waits for and leaves, or hands the connection over without it.
func (s *Session) part(c *Call, rollback, clean bool) {
	if clean && !rollback && s.canHandOver() && s.pool.HandOver(s.conn) {
		s.parted()
		s.leave(c)
		return
	}
	if rollback || clean {
		c.Head = s.appendReset(c.Head[:0], rollback, clean)
		s.conn.Owed++
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

// canHandOver tells whether the connection needs no more than undoCommands.
func (s *Session) canHandOver() bool {
	return s.conn.Cache == pool.CacheNamed && !s.conn.Prepared && !s.conn.Reauthorized()
}

// appendUndo appends the reset of a connection that was handed over without, for a statement to
// follow in the same unit: should the reset fail, the server skips the statement; should the
// statement fail, the reset has been committed.
func (s *Session) appendUndo(dst []byte) []byte {
	kept := s.conn.Statements
	if kept.Undo == nil {
		for _, sql := range undoCommands {
			name := kept.NewName()
			dst = wire.AppendParse(dst, name, sql, nil)
			kept.Undo = wire.AppendExecute(wire.AppendBindNothing(kept.Undo, name))
		}
	}
	dst = append(dst, kept.Undo...)
	s.undoing = len(undoCommands)
	s.conn.Unreset = false
	return dst
}

// resetNow resets a connection that was handed over without, for a holder who has nothing to send yet.
func (s *Session) resetNow(conn *pool.Conn) {
	conn.Unreset = false
	s.conn = conn
	reset := s.appendReset(nil, false, true)
	s.conn = nil
	conn.Owed++
	if !conn.SendWhole(reset) {
		conn.Break() // another one is acquired
	}
}

// elsewhere runs a statement on another connection, since the reset ahead of it has failed and it was
// skipped.
func (s *Session) elsewhere(c *Call) {
	s.conn.Break()
	s.release()
	s.op.sql, s.op.statement, s.op.phase = s.op.statement.SQL, nil, phaseNone
	s.acquire(c)
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

// leave releases the connection, if it still has one, and closes the session.
func (s *Session) leave(c *Call) {
	quiet, fault := s.op.quiet, s.op.failed
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
