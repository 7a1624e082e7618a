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
	c.Out = s.sendOwed(c.Out)
	if !s.op.more {
		s.op.nested = s.tx.active()
	}
	switch {
	case s.op.nested:
		if !s.op.more {
			c.Out = s.appendCommand(c.Out, manySavepoint)
			s.op.prefix++
		}
		c.Tail = s.appendCommand(c.Tail, "RELEASE "+manySavepoint)
	default:
		// COMMIT is prepared ahead of the rows: after a failing row it would never be parsed, though
		// the cache says so.
		var commit string
		c.Out, commit = s.prepareCommand(c.Out, "COMMIT")
		if !s.op.more {
			c.Out = s.appendCommand(c.Out, "BEGIN")
			s.op.prefix++
		}
		if commit == "" {
			c.Tail = wire.AppendParse(c.Tail, "", "COMMIT", nil)
		}
		c.Tail = wire.AppendExecute(wire.AppendBindNothing(c.Tail, commit))
	}
	c.Count = ^int64(s.op.prefix) // abi.RowsGoOn where no command precedes the rows
	if !s.op.more && !s.op.fresh && !s.op.inside && !s.op.retried {
		c.Count = int64(s.op.prefix) // should the first row be refused, the statement may be stale
	}
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
	if s.op.nested || got.status == 'I' { // a transaction of its own is no state of the session's
		s.tx = s.tx.transition(evReady, got.status)
	}
	switch {
	case s.staleRows(c):
		s.rowsAnew(c)
		return
	case c.has(abi.InDeclared) && got.fault == nil && got.copying == 0 && !got.empty:
		s.op.more, s.op.retried = true, true
		s.op.before += got.commands - s.op.prefix
		s.op.total += got.rows
		s.declare(c)
		return
	}
	if s.op.nested && got.status == 'I' {
		s.settled(evRolledBack, true) // BEGIN failed, or one of the rows has ended the transaction
	}
	fault := got.fault
	if fault != nil {
		if row := int64(s.op.before + got.commands - s.op.prefix); row >= 0 && (got.status != 'I' || fault.Row != nil) {
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
		c.done(s.op.total + got.rows)
	case got.status == 'I':
		c.fail(fault)
	case s.op.nested && got.commands < s.op.prefix && !s.op.more:
		if s.first == nil {
			s.first = fault
		}
		c.fail(fault) // the savepoint was not reached: the transaction itself is aborted
	default:
		s.undoRows(c, fault)
	}
}

// undoRows takes all rows back, and then reports the fault.
func (s *Session) undoRows(c *Call, fault *wire.Fault) {
	fault.SQL = s.op.sql
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

// staleRows tells whether to run the rows anew, once, and forgets the statement if it may be stale:
// the server refused it before the first row, or a row did not fit its description.
func (s *Session) staleRows(c *Call) bool {
	got := &s.op.got
	refused := c.has(abi.InReparse)
	if got.fault != nil {
		refused = got.binds <= s.op.prefix && got.fault.Kind == "" && got.fault.SQLState != wire.StateQueryCanceled
	}
	if s.op.fresh || !refused {
		return false
	}
	s.conn.Statements.Forget(s.op.statement) // in any case its next run is to find it new
	if s.op.retried || s.op.inside || !c.has(abi.InKept) {
		return false
	}
	s.op.retried = true
	if got.fault != nil && got.commands < s.op.prefix {
		s.conn.Statements.Clear() // our own BEGIN was not known any more
	}
	return true
}

// rowsAnew undoes what went ahead of the rows and has the statement described once more.
func (s *Session) rowsAnew(c *Call) {
	switch {
	case s.op.nested:
		s.retrace()
		s.describe(c)
	case s.op.got.status == 'I':
		s.describe(c)
	default:
		s.op.undo = nil
		c.Head = wire.AppendSync(s.appendCommand(c.Head, "ROLLBACK"))
		s.beginIO(phaseUndo)
		c.io(0, 1)
	}
}

// undone follows the rollback of execute_many.
func (s *Session) undone(c *Call) {
	got := &s.op.got
	s.tx = s.tx.transition(evReady, got.status)
	switch {
	case s.op.undo == nil && got.fault == nil:
		s.describe(c)
		return
	case s.op.undo == nil:
		s.op.undo = got.fault
	}
	if got.fault != nil && s.first == nil {
		s.first = s.op.undo
	}
	c.fail(s.op.undo)
}
