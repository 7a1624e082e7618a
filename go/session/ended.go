package session

import (
	"hypern/go/abi"
	"hypern/go/wire"
)

// savepoint is one of the open transaction, and how many functions waited for its commit when it was set:
// those given later are dropped when the transaction goes back to it.
type savepoint struct {
	name     string // "": it cannot be read from the command that set it
	hooks    int64
	level    uint64 // nested: which stands for it
	readOnly bool   // nested: the transaction was so
}

// hooks is what becomes of the functions that wait for the commit.
type hooks struct {
	known bool  // else all of them go on waiting
	due   bool  // those behind the first ones are to be called; else they are dropped
	keep  int64 // the first ones go on waiting
}

// ended follows the end of a transaction by the server's answer: its status before and after, and its
// tag. A chained one (AND CHAIN) ends with the next one open already.
func (s *Session) ended(was byte, got *answer) {
	open := was == 'T' || was == 'E'
	// What has been answered opens only, or belongs to guards: the core has sent it.
	own := got.commands <= s.op.prefix || s.op.phase.describes()
	switch {
	case !open:
	case got.status == 'I' && got.fault == nil && got.last == "COMMIT":
		s.settled(evCommitted, false)
	case got.status == 'I':
		s.settled(evRolledBack, got.fault != nil || !isRollback(s.op.sql))
	case got.status != 'T' || got.fault != nil || own:
	case got.last == "COMMIT":
		s.applied, s.unasked = false, true
		s.settleHooks(true)
		s.voidBlocks(false)
	case got.last == "ROLLBACK":
		if name, ok := rollbackTo(s.op.sql); ok {
			s.backTo(name, false)
		} else {
			s.applied = false
			s.settleHooks(false)
			s.voidBlocks(!isRollback(s.op.sql))
		}
	case got.last == "SAVEPOINT":
		s.savepoints = append(s.savepoints, savepoint{savepointOf(s.op.sql), s.hooks, got.level, s.nest.readOnly})
	case got.last == "RELEASE":
		s.releaseSavepoint(savepointOf(s.op.sql))
	}
}

// settled follows the end of the transaction, however it came about. untold: nobody asked for it.
func (s *Session) settled(e event, untold bool) {
	s.tx = s.tx.transition(e, 0)
	s.inDoubt = false
	s.settleHooks(e == evCommitted)
	s.voidBlocks(untold)
}

// voidBlocks makes the open blocks useless, since their transaction has ended. A chained one that is open
// by now is rolled back when the last block is left.
func (s *Session) voidBlocks(untold bool) {
	if len(s.blocks) > 0 && s.void == nil {
		s.void = &void{harmless: !untold, fault: s.endedInBlock()}
	}
}

func (s *Session) settleHooks(committed bool) {
	s.savepoints = s.savepoints[:0]
	s.op.hooks = hooks{known: true, due: committed}
}

// backTo follows a ROLLBACK TO. A savepoint that is not known costs every function: what it undid may be
// all of the transaction.
func (s *Session) backTo(name string, released bool) {
	keep, i := int64(0), s.find(name)
	if i >= 0 {
		keep, s.nest.readOnly = s.savepoints[i].hooks, s.savepoints[i].readOnly
		if released {
			i--
		}
		s.savepoints = s.savepoints[:i+1]
	}
	s.op.hooks = hooks{known: true, keep: keep}
	s.first = nil
	s.revertSettings()
}

func (s *Session) releaseSavepoint(name string) {
	if i := s.find(name); i >= 0 {
		s.nest.readOnly = s.savepoints[i].readOnly
		s.savepoints = s.savepoints[:i]
	}
}

// find is the place of the latest savepoint of that name, or -1.
func (s *Session) find(name string) int {
	for i := len(s.savepoints) - 1; i >= 0; i-- {
		if s.savepoints[i].name == name && name != "" {
			return i
		}
	}
	return -1
}

// refused is the fault of a command that was to commit and that the server answered with ROLLBACK, though
// without an error; nil for any other statement. was: the status before it.
func (s *Session) refused(was byte, got *answer) *wire.Fault {
	if got.last != "ROLLBACK" || got.commands <= s.op.prefix || got.fault != nil {
		return nil //nolint:nilerr // the server's own fault is reported as it is
	}
	first := s.first
	s.first = nil // of a transaction that is over, or back at a savepoint
	switch {
	case isRollback(s.op.sql):
		return nil
	case was == 'I' && s.op.prefix == 0:
		return noTransaction("PREPARE TRANSACTION")
	}
	s.told = true
	return abortedFault(first)
}

// abortedFault is what COMMIT of an aborted transaction reports. first: the error that aborted it.
func abortedFault(first *wire.Fault) *wire.Fault {
	return &wire.Fault{Kind: wire.KindTransactionAborted, SQLState: wire.StateAborted, Cause: first,
		Message: "the transaction was aborted by an earlier error, so COMMIT rolled it back"}
}

// settleFinalized decides on the functions at the end of the session. open: a transaction was.
func (s *Session) settleFinalized(open bool, fault *wire.Fault) {
	due := fault == nil && !s.marked && !s.failed && (!open || s.autoCommit)
	s.op.hooks = hooks{known: true, due: due}
}

// tellHooks hands the decision to C.
func (s *Session) tellHooks(c *Call) {
	c.HooksKept, c.HooksDue = abi.HooksAll, false
	if h := s.op.hooks; h.known {
		c.HooksKept, c.HooksDue = h.keep, h.due
	}
}
