package session

import (
	"hypern/go/abi"
	"hypern/go/wire"
)

// manySavepoint is the savepoint that makes execute_many atomic inside a transaction.
const manySavepoint = savepointWord + "hypern_many"

// rows has C send the rows of execute_many, between a BEGIN and a COMMIT, or inside a transaction
// between a savepoint and its release: all rows or none.
func (s *Session) rows(c *Call) {
	st := s.op.statement
	nested := s.tx.active()
	c.Out = s.sendOwed(c.Out)
	if nested {
		c.Out = s.appendCommand(c.Out, manySavepoint)
		c.Tail = s.appendCommand(c.Tail, "RELEASE "+manySavepoint)
	} else {
		// COMMIT is prepared ahead of the rows: after a failing row it would never be parsed, though
		// the cache says so.
		var commit string
		c.Out, commit = s.prepareCommand(c.Out, "COMMIT")
		c.Out = s.appendCommand(c.Out, "BEGIN")
		if commit == "" {
			c.Tail = wire.AppendParse(c.Tail, "", "COMMIT", nil)
		}
		c.Tail = wire.AppendExecute(wire.AppendBindNothing(c.Tail, commit))
	}
	s.op.prefix++
	s.op.nested = nested
	c.Tail = wire.AppendSync(c.Tail)
	if st.Name == "" {
		c.Out = wire.AppendParse(c.Out, "", st.SQL, st.OIDs)
	}
	c.Head = wire.AppendBindNames(c.Head, "", st.Name)
	s.beginIO(phaseRows)
	c.Want = abi.WantRows
}

// rowsRan takes in the outcome of all rows.
func (s *Session) rowsRan(c *Call) {
	got := &s.op.got
	s.tx = s.tx.transition(evReady, got.status)
	fault := got.fault
	if fault != nil {
		if !s.op.fresh && got.binds <= s.op.prefix {
			s.conn.Statements.Forget(s.op.statement) // it may be stale: its next run finds it new
		}
		if row := int64(got.commands - s.op.prefix); row >= 0 && (got.status != 'I' || fault.Row != nil) {
			fault.Row = &row
		}
		fault.SQL = s.op.sql
	}
	if fault == nil && got.copying != 0 {
		fault = copyFault(s.op.sql)
	}
	if fault == nil && c.has(abi.InCancelled) {
		fault = &wire.Fault{Kind: wire.KindOperational, Message: "the rows were not completed"}
	}
	switch {
	case got.empty && fault == nil:
		c.fail(emptyFault(s.op.sql))
	case fault == nil:
		c.done(got.rows)
	case got.status == 'I':
		c.fail(fault)
	case s.op.nested && got.commands < s.op.prefix:
		if s.first == nil {
			s.first = fault
		}
		c.fail(fault) // the savepoint was not reached: the transaction itself is aborted
	default:
		s.op.undo = fault
		if s.op.nested {
			c.Head = s.appendCommand(c.Head, "ROLLBACK TO "+manySavepoint)
			c.Head = s.appendCommand(c.Head, "RELEASE "+manySavepoint)
		} else {
			c.Head = s.appendCommand(c.Head, "ROLLBACK")
		}
		c.Head = wire.AppendSync(c.Head)
		s.beginIO(phaseUndo)
		c.io(0, 1)
	}
}

// undone follows the rollback of execute_many.
func (s *Session) undone(c *Call) {
	got := &s.op.got
	s.tx = s.tx.transition(evReady, got.status)
	if got.fault != nil && s.first == nil {
		s.first = s.op.undo
	}
	c.fail(s.op.undo)
}
