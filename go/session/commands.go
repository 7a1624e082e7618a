package session

import (
	"strings"

	"hypern/go/abi"
	"hypern/go/wire"
)

const savepointWord = "SAVEPOINT "

// control runs COMMIT, ROLLBACK or a savepoint command. What was never sent to the server is undone
// without it.
type control struct {
	savepoint string      // the one that is gone back to, if any
	report    *wire.Fault // why the transaction was rolled back
	byRequest bool        // by the end of a request
}

func (o *control) start(s *Session, c *Call) {
	name := strings.Clone(s.op.sql)
	s.op.sql = ""
	switch s.op.op {
	case abi.OpCommit:
		if o.outsideBlocks(s, c, "commit") {
			o.commit(s, c)
		}
	case abi.OpRollback:
		if o.outsideBlocks(s, c, "rollback") {
			o.rollback(s, c)
		}
	case abi.OpSetLocal:
		o.setLocal(s, c, name)
	case abi.OpSavepoint:
		if s.transactionOpen(c) {
			s.applySettings()
			s.setSavepoint(c, name)
		}
	case abi.OpRelease:
		o.release(s, c, name)
	case abi.OpRollbackTo:
		o.rollbackTo(s, c, name)
	}
}

func (o *control) resume(s *Session, c *Call) { s.finish(c, s.verdict(o.savepoint, o.report)) }

// setSavepoint sets a savepoint of the core's own, ahead of the next statement.
func (s *Session) setSavepoint(c *Call, name string) {
	if s.nests() {
		s.transact(c, phaseVerdict, savepointWord+name)
		return
	}
	s.prelude.add(savepointWord + name)
	s.savepoints = append(s.savepoints, savepoint{name: name, hooks: s.hooks})
	c.done(0)
}

func (o *control) release(s *Session, c *Call, name string) {
	if !s.transactionOpen(c) {
		return
	}
	release := "RELEASE " + savepointWord + name
	if s.nests() && s.levelOf(release) != 0 {
		s.transact(c, phaseVerdict, release)
		return
	}
	if s.prelude.unsend(savepointWord + name) {
		s.revertSettings()
	} else {
		s.prelude.add(release)
	}
	s.releaseSavepoint(name)
	c.done(0)
}

func (o *control) rollbackTo(s *Session, c *Call, name string) {
	switch {
	case s.tx.lost || s.prelude.unsend(savepointWord+name):
		s.backTo(name, true)
		c.done(0) // the savepoint is gone, or never was
	case s.lostLevel():
		c.done(0) // with the transaction, which can only be rolled back
	case !s.tx.active():
		c.fail(noTransaction("rollback to a savepoint"))
	default:
		s.prelude.clear() // what is pending lies inside the savepoint
		o.savepoint = name
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

func (o *control) commit(s *Session, c *Call) {
	switch {
	case s.tx.lost:
		s.settled(evRolledBack, false)
		c.fail(abortedFault(s.first))
	case !s.tx.active() && s.isAtomic():
		s.settled(evCommitted, false)
		c.done(0)
	case !s.tx.active():
		c.fail(noTransaction("commit()"))
	case s.tx.owed:
		s.prelude.clear()
		s.settled(evCommitted, false)
		c.done(0)
	default:
		if fault := s.pastDeadline(); fault != nil {
			c.fail(fault)
			return
		}
		s.prelude.clear()
		s.sendCommands(c, "COMMIT")
	}
}

func (o *control) rollback(s *Session, c *Call) {
	switch {
	case s.tx.lost || s.tx.owed:
		s.prelude.clear()
		s.settled(evRolledBack, false)
		c.done(0)
	case !s.tx.active() && s.isAtomic():
		s.settled(evRolledBack, false)
		c.done(0)
	case !s.tx.active():
		if s.tx.verdict == abi.StateRolledBack {
			c.done(0) // a failed commit has rolled back already; the usual handler may say it again
			return
		}
		c.fail(noTransaction("rollback()"))
	default:
		s.prelude.clear()
		s.sendCommands(c, "ROLLBACK")
	}
}

// sendCommands sends commands of the core's own and waits for the last one's verdict.
func (s *Session) sendCommands(c *Call, commands ...string) {
	if s.nests() {
		s.transact(c, phaseVerdict, commands[0], commands[1:]...)
		return
	}
	s.op.sql = commands[0]
	if len(commands) == 1 {
		s.sendQuery(c, phaseVerdict, commands[0])
		if s.op.commits = commands[0] == verbCommit; s.op.commits {
			s.commitTail(c)
		}
		return
	}
	for _, sql := range commands { // a savepoint's name is not the core's own
		c.Head = appendCommand(c.Head, sql)
	}
	s.sendSync(c, phaseVerdict, 0)
}

// ending is the command of the core's own that the operation ends the transaction by, if any.
func (s *Session) ending() string {
	switch s.op.op {
	case abi.OpCommit, abi.OpRollback, abi.OpUndo, abi.OpLeave:
		return s.op.sql
	}
	return ""
}

// verdict takes in the answer to COMMIT, ROLLBACK or a savepoint command, and returns the fault to report.
// savepoint: the one that the transaction is back at, or "". report: why it was rolled back, or nil.
func (s *Session) verdict(savepoint string, report *wire.Fault) *wire.Fault {
	got := &s.op.got
	s.op.prefix = 0
	was := s.tx.server
	s.ready(got)
	fault := got.fault
	switch {
	case fault != nil:
		fault.SQL = s.op.sql
	case savepoint != "":
		s.backTo(savepoint, true)
	case report != nil:
		fault = report
	default:
		fault = s.refused(was, got)
	}
	if got.status != 'E' {
		s.first = nil
	}
	return fault
}
