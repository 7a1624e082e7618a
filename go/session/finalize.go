package session

import (
	"strings"

	"hypern/go/pool"
	"hypern/go/wire"
)

// resetSQL undoes everything a session can leave behind, as one simple query: DISCARD ALL in parts,
// but for the prepared statements, which are ours, and plans, which are worth keeping.
// https://www.postgresql.org/docs/current/sql-discard.html
const resetSQL = "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;" +
	"SELECT pg_catalog.pg_advisory_unlock_all();DISCARD TEMP;DISCARD SEQUENCES"

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
	commit := s.tx.server == 'T' && s.autoCommit && !s.marked
	s.op.quiet = s.tx.server == 'E' && s.autoCommit && !s.marked
	s.owed = s.owed[:0]
	if commit {
		c.Head = wire.AppendSync(s.appendCommand(c.Head, "COMMIT"))
		s.op.sql = "COMMIT"
	}
	after := s.resetText() // behind COMMIT: it may forget the statements prepared so far
	if open && !commit {
		after = strings.TrimSuffix("ROLLBACK;"+after, ";")
	}
	if after != "" {
		c.Head = wire.AppendQuery(c.Head, after)
		s.conn.Owed++
	}
	switch {
	case commit:
		s.beginIO(phaseVerdict)
		c.io(0, 1)
	case after != "":
		s.beginIO(phaseFarewell)
		c.io(0, 0)
	default:
		s.leave(c, nil)
	}
}

// resetText is what the connection needs before it serves someone else.
func (s *Session) resetText() string {
	if !s.used || s.pool.Config().Reset != pool.ResetFull {
		return ""
	}
	if s.conn.Prepared {
		s.conn.Prepared = false
		s.conn.Statements.Clear()
		return resetSQL + ";DEALLOCATE ALL"
	}
	return resetSQL
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
