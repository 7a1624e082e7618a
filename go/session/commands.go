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
func (s *Session) command(c *Call, name string) {
	switch s.op.op {
	case abi.OpCommit:
		if s.outsideBlocks(c, "commit") {
			s.commit(c)
		}
	case abi.OpRollback:
		if s.outsideBlocks(c, "rollback") {
			s.rollback(c)
		}
	case abi.OpSavepoint:
		if s.transactionOpen(c) {
			s.owe(c, name)
		}
	case abi.OpRelease:
		s.releaseOwn(c, name)
	case abi.OpRollbackTo:
		s.rollbackToOwn(c, name)
	}
}

// owe sets a savepoint of the core's own, ahead of the next statement.
func (s *Session) owe(c *Call, name string) {
	if s.nests() {
		s.transact(c, savepointWord+name, phaseVerdict)
		return
	}
	s.owed = append(s.owed, savepointWord+name)
	s.savepoints = append(s.savepoints, savepoint{name: name, hooks: s.hooks})
	c.done(0)
}

func (s *Session) releaseOwn(c *Call, name string) {
	if !s.transactionOpen(c) {
		return
	}
	release := "RELEASE " + savepointWord + name
	if s.nests() && s.levelOf(release) != 0 {
		s.transact(c, release, phaseVerdict)
		return
	}
	if !s.unsend(name) {
		s.owed = append(s.owed, release)
	}
	s.releaseSavepoint(name)
	c.done(0)
}

func (s *Session) rollbackToOwn(c *Call, name string) {
	switch {
	case s.tx.lost || s.unsend(name):
		s.backTo(name, true)
		c.done(0) // the savepoint is gone, or never was
	case s.lostLevel():
		c.done(0) // with the transaction, which can only be rolled back
	case !s.tx.active():
		c.fail(noTransaction("rollback to a savepoint"))
	default:
		s.owed = s.owed[:0] // whatever was owed lies inside the savepoint
		s.op.name = name
		s.sendCommands(c, "ROLLBACK TO "+savepointWord+name, "RELEASE "+savepointWord+name)
	}
}

func noTransaction(what string) *wire.Fault {
	return &wire.Fault{SQLState: wire.StateNoActiveTransaction,
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
		c.fail(&wire.Fault{SQLState: wire.StateAborted, Cause: s.first,
			Message: "the transaction was aborted by an earlier error and can only be rolled back"})
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
		s.settled(evRolledBack, false)
		c.fail(abortedFault(s.first))
	case !s.tx.active():
		c.fail(noTransaction("commit()"))
	case s.tx.owed:
		s.owed = s.owed[:0]
		s.settled(evCommitted, false)
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
		s.settled(evRolledBack, false)
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
	if s.nests() {
		s.transact(c, commands[0], phaseVerdict)
		return
	}
	s.op.sql = commands[0]
	if len(commands) == 1 && !strings.Contains(commands[0], savepointWord) {
		c.Head = wire.AppendQuery(c.Head, commands[0])
	} else { // a savepoint's name is not the core's own
		for _, sql := range commands {
			c.Head = appendCommand(c.Head, sql)
		}
		c.Head = wire.AppendSync(c.Head)
	}
	s.beginIO(phaseVerdict)
	c.io(0, 1)
}

// ending is the command of the core's own that the operation ends the transaction by, if any.
func (s *Session) ending() string {
	switch s.op.op {
	case abi.OpCommit, abi.OpRollback, abi.OpUndo, abi.OpLeave:
		return s.op.sql
	}
	return ""
}

// verdict takes in the answer to COMMIT, ROLLBACK or a savepoint command.
func (s *Session) verdict(c *Call) {
	got := &s.op.got
	s.op.prefix = 0
	was := s.tx.server
	s.ready(got)
	fault := got.fault
	switch {
	case fault != nil:
		fault.SQL = s.op.sql
	case s.op.name != "":
		s.backTo(s.op.name, true)
	case s.op.undo != nil: // what there was to report is why it was rolled back
		fault = s.op.undo
	default:
		fault = s.refused(was, got)
	}
	fault = s.begun(fault)
	if got.status != 'E' {
		s.first = nil
	}
	if s.op.op == abi.OpFinalize {
		s.op.failed = fault
		if open := got.status != 'I'; s.op.unreset || open && !s.conn.ResetSent() { // open: COMMIT was cancelled before it began
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
