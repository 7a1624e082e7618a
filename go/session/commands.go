package session

import (
	"slices"
	"strings"

	"hypern/go/abi"
	"hypern/go/wire"
)

const savepointWord = "SAVEPOINT "

// command runs COMMIT, ROLLBACK or a savepoint command. What was never sent to the server is undone
// without it.
func (s *Session) command(c *Call) {
	switch s.op.op {
	case abi.OpCommit:
		s.commit(c)
	case abi.OpRollback:
		s.rollback(c)
	case abi.OpSavepoint:
		if s.transactionOpen(c) {
			s.owed = append(s.owed, savepointWord+s.op.name)
			c.done(0)
		}
	case abi.OpRelease:
		if !s.transactionOpen(c) {
			return
		}
		if !s.unsend(s.op.name) {
			s.owed = append(s.owed, "RELEASE "+savepointWord+s.op.name)
		}
		c.done(0)
	case abi.OpRollbackTo:
		switch {
		case s.tx.lost || s.unsend(s.op.name):
			c.done(0) // the savepoint is gone, or never was
		case !s.tx.active():
			c.fail(noTransaction("rollback to a savepoint"))
		default:
			s.owed = s.owed[:0] // whatever was owed lies inside the savepoint
			s.sendCommands(c, "ROLLBACK TO "+savepointWord+s.op.name, "RELEASE "+savepointWord+s.op.name)
		}
	}
}

func noTransaction(what string) *wire.Fault {
	return &wire.Fault{SQLState: wire.StateNoActiveTransaction, Severity: "ERROR",
		Message: what + " without a transaction; begin() or transaction() opens one"}
}

// transactionOpen fails the call unless commands can be added to an open transaction.
func (s *Session) transactionOpen(c *Call) bool {
	switch {
	case !s.tx.active():
		c.fail(noTransaction("savepoint"))
	case s.tx.lost:
		c.fail(s.lostFault())
	case s.tx.aborted():
		c.fail(&wire.Fault{SQLState: wire.StateAborted, Severity: "ERROR", Cause: s.first,
			Message: "current transaction is aborted, commands ignored until end of transaction block"})
	default:
		return true
	}
	return false
}

// unsend takes a savepoint that is still owed out of what is to be sent, with all that follows it.
func (s *Session) unsend(name string) bool {
	i := slices.Index(s.owed, savepointWord+name)
	if i < 0 {
		return false
	}
	s.owed = s.owed[:i]
	return true
}

func (s *Session) commit(c *Call) {
	switch {
	case s.tx.lost:
		s.tx = s.tx.transition(evRolledBack, 0)
		c.fail(s.abortedFault())
	case !s.tx.active():
		c.fail(noTransaction("commit()"))
	case s.tx.owed:
		s.owed = s.owed[:0]
		s.tx = s.tx.transition(evCommitted, 0)
		c.done(0)
	default:
		s.owed = s.owed[:0]
		s.sendCommands(c, "COMMIT")
	}
}

func (s *Session) rollback(c *Call) {
	switch {
	case s.tx.lost || s.tx.owed:
		s.owed = s.owed[:0]
		s.tx = s.tx.transition(evRolledBack, 0)
		c.done(0)
	case !s.tx.active():
		if s.tx.verdict == abi.StateRolledBack {
			c.done(0) // a failed commit has rolled back already; the usual handler may say it again
			return
		}
		c.fail(noTransaction("rollback()"))
	default:
		s.owed = s.owed[:0]
		s.sendCommands(c, "ROLLBACK")
	}
}

// sendCommands sends commands of our own and waits for the last one's verdict.
func (s *Session) sendCommands(c *Call, commands ...string) {
	if len(commands) == 1 && !strings.Contains(commands[0], savepointWord) {
		c.Head = wire.AppendQuery(c.Head, commands[0])
	} else { // a savepoint's name is not the core's own
		for _, sql := range commands {
			c.Head = appendCommand(c.Head, sql)
		}
		c.Head = wire.AppendSync(c.Head)
	}
	s.op.sql = commands[0]
	s.beginIO(phaseVerdict)
	c.io(0, 1)
}

// verdict takes in the answer to COMMIT, ROLLBACK or a savepoint command.
func (s *Session) verdict(c *Call) {
	got := &s.op.got
	s.op.prefix = 0
	s.ready(got)
	committing := s.op.op == abi.OpCommit || s.op.op == abi.OpFinalize
	var fault *wire.Fault
	switch {
	case got.fault != nil:
		fault = got.fault
		fault.SQL = s.op.sql
	case committing && got.last == "ROLLBACK":
		fault = s.abortedFault()
	}
	if got.status != 'E' {
		s.first = nil
	}
	if s.op.op == abi.OpFinalize {
		s.op.failed = fault
		if open := got.status != 'I'; s.op.unreset || open && s.conn.Owed == 0 { // open: COMMIT was cancelled before it began
			s.part(c, open, s.op.unreset)
		} else {
			s.leave(c)
		}
		return
	}
	if fault != nil {
		s.told = true
		c.fail(fault)
		return
	}
	c.done(0)
}
