package session

import (
	"hypern/go/abi"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// manySavepoint is the savepoint that makes execute_many atomic inside a transaction.
const manySavepoint = savepointWord + "hypern_many"

// refuseTransaction fails an execute_many of a transaction command. Its rows are sent in a transaction
// or savepoint, which the command would end.
func (s *Session) refuseTransaction(c *Call) bool {
	if !commandsTransaction(s.op.sql) {
		return false
	}
	c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: s.op.sql, Message: "execute_many does not take transaction " +
		"commands, since all its rows are one transaction; use execute(), or begin(), commit() and rollback()"})
	return true
}

// rowsBounds are the commands that the rows are sent between, and the one that undoes them.
func (s *Session) rowsBounds() (begin, end, undo string) {
	if s.op.nested || s.nests() {
		release := "RELEASE " + manySavepoint
		return manySavepoint, release, "ROLLBACK TO " + manySavepoint + ";" + release
	}
	return "BEGIN", "COMMIT", "ROLLBACK"
}

// rows has C send the rows of execute_many, between a BEGIN and a COMMIT, or inside a transaction
// between a savepoint and its release: all rows or none.
func (s *Session) rows(c *Call) {
	st := s.op.statement
	guarded := s.guarded(st)
	if s.op.more && s.op.under != nil && (guarded || s.op.ahead > 0) && s.op.under != st.Catalog {
		s.undoRows(c, s.alteredFault()) // what the rows sent before were encoded by is out of date
		return
	}
	s.op.under = st.Catalog
	c.Out = s.sendOwed(c.Out, false)
	if s.op.guards = 0; !s.op.more {
		s.op.nested, s.op.saved = s.tx.active(), s.tx.server == 'T' || s.nests()
	}
	begin, end, _ := s.rowsBounds()
	// What may change client_encoding is not committed before it is known that it has not.
	s.op.checks = st.Effect.Settings != sqltext.Unchanged
	if !s.op.more {
		c.Out = appendCommand(c.Out, begin)
		s.op.prefix++
	}
	s.op.begun = true
	s.appendGuardsAround(c, guarded)
	if !s.op.checks {
		c.Tail = appendCommand(c.Tail, end)
	}
	c.Count = ^int64(s.op.prefix) // abi.RowsGoOn where no command precedes the rows
	if !s.op.more && (!s.op.fresh && !s.op.inside && !s.op.retried || guarded && s.op.reshapes < reshapesMax) {
		c.Count = int64(s.op.prefix) // should the first row be refused, the statement may be stale
	}
	c.Tail = wire.AppendSync(c.Tail)
	if st.Name == "" {
		c.Out = wire.AppendParse(c.Out, "", st.SQL, st.OIDs)
	}
	c.Head = wire.AppendBindNames(c.Head, "", st.Name)
	c.Guards = int(s.op.guards)
	s.beginIO(phaseRows)
	s.op.got.ours, s.op.got.many = s.op.prefix, guarded
	c.Want = abi.WantRows
}

// ownRows tells whether execute_many, or a script, has a transaction of its own. That is no state of the session's: the
// operation does not end, nor the connection outlive it, while it is open.
func (s *Session) ownRows() bool {
	return s.op.op == abi.OpMany && s.op.begun && !s.op.nested || s.op.script != nil && s.op.script.own
}

// sees follows the status of a ReadyForQuery.
func (s *Session) sees(status byte) {
	if status == 'I' || !s.ownRows() {
		s.tx = s.tx.transition(evReady, status)
	}
}

// rowsRan takes in the outcome of all rows.
func (s *Session) rowsRan(c *Call) {
	got := &s.op.got
	s.sees(got.status)
	s.forgetStatements(got)
	switch {
	case s.alteredRows(c):
		s.outdated()
		s.rowsAnew(c)
		return
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
	switch {
	case !s.op.nested || got.status != 'I':
	case got.last == "COMMIT": // by a row, in a way that commandsTransaction does not see
		s.settled(evCommitted, true)
	default: // BEGIN failed, or one of the rows has ended the transaction
		s.settled(evRolledBack, true)
	}
	fault := got.fault
	if fault != nil {
		if row := int64(s.op.before + got.commands - s.op.prefix); row >= 0 && (got.status != 'I' || fault.Row != nil) {
			fault.Row = &row
		}
		fault.SQL = s.op.sql
	}
	if fault != nil && s.alteredMeanwhile(c) {
		fault = s.alteredFault()
	}
	if fault == nil && got.copying != 0 {
		fault = copyFault(s.op.sql)
	}
	if fault == nil && c.has(abi.InCancelled) {
		fault = s.incompleteFault()
	}
	switch {
	case got.empty && fault == nil:
		c.fail(emptyFault(s.op.sql))
	case fault == nil && s.op.checks:
		s.checkRows(c)
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

// checkRows ends what the rows are sent in, unless they have changed client_encoding: those behind that
// would be stored wrong.
func (s *Session) checkRows(c *Call) {
	if s.conn.Encoding() != "" {
		s.undoRows(c, s.encodingFault())
		return
	}
	_, end, _ := s.rowsBounds()
	s.op.total += s.op.got.rows
	c.Head = wire.AppendQuery(c.Head, end)
	s.op.prefix = 0
	s.beginIO(phaseRowsEnd)
	c.io(0, 1)
}

// rowsEnded follows the end that checkRows has sent.
func (s *Session) rowsEnded(c *Call) {
	got := &s.op.got
	s.sees(got.status)
	if got.fault != nil {
		got.fault.SQL = s.op.sql
		if s.first == nil && got.status == 'E' {
			s.first = got.fault
		}
		c.fail(got.fault)
		return
	}
	c.done(s.op.total)
}

// undoRows takes all rows back, and then reports the fault.
func (s *Session) undoRows(c *Call, fault *wire.Fault) {
	fault.SQL = s.op.sql
	s.op.undo = fault
	if s.op.event != nil && s.conn.Cancelling() {
		s.op.phase = phaseCalm
		c.wait(s.op.event.FD(), -1)
		return
	}
	_, _, undo := s.rowsBounds()
	c.Head = wire.AppendQuery(c.Head, undo)
	s.beginIO(phaseUndo)
	c.io(0, 1)
}

// calmed goes on with undoRows once no request to cancel is under way, or the caller's time is up.
func (s *Session) calmed(c *Call) {
	switch {
	case !s.conn.Cancelling():
		s.undoRows(c, s.op.undo)
	case c.has(abi.InTimeout):
		s.op.outcome = outcome{abi.WantFail, 0, s.op.undo}
		s.overdue(c)
		c.fail(s.op.undo)
	default:
		c.wait(s.op.event.FD(), -1)
	}
}

// alteredRows tells whether types were found altered before any row was accepted, and C can encode anew.
func (s *Session) alteredRows(c *Call) bool {
	got := &s.op.got
	if s.op.guards == 0 || s.op.reshapes >= reshapesMax || !c.has(abi.InKept) || got.fault != nil && got.commands+1 < s.op.prefix {
		return false
	}
	switch {
	case got.fault == nil:
		return false // a row does not fit the description: the statement may be stale, too
	case s.passed(c) < s.op.ahead:
		return broken(got.fault.SQLState)
	}
	return got.binds <= s.op.prefix && s.misfits(got.fault.SQLState) && s.op.reshapes == 0
}

// alteredMeanwhile tells whether guards have failed, for which the rows are not sent anew: what was sent
// was bound and executed, and then came an error that is none of COMMIT's, nor that of a row which Bind
// refused.
func (s *Session) alteredMeanwhile(c *Call) bool {
	return s.op.guards > 0 && s.passed(c) < s.op.guards && s.guardFailure(c)
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
	if got.fault != nil && got.fault.SQLState == wire.StateUndefinedStatement {
		s.conn.Statements().ForgetAll() // DEALLOCATE ALL ran unseen
	}
	s.conn.Statements().ForgetText(s.op.statement.SQL) // in any case its next run is to find it new
	if s.op.retried || s.op.inside || !c.has(abi.InKept) {
		return false
	}
	s.op.retried = true
	return true
}

// rowsAnew undoes what went ahead of the rows and has the statement described once more.
func (s *Session) rowsAnew(c *Call) {
	s.op.declared = nil
	switch {
	case s.op.nested && s.op.saved: // only its own savepoint is undone
		s.op.undo = nil
		c.Head = appendCommand(c.Head, "ROLLBACK TO "+manySavepoint)
		c.Head = wire.AppendSync(appendCommand(c.Head, "RELEASE "+manySavepoint))
		s.beginIO(phaseUndo)
		c.io(0, 1)
	case s.op.nested:
		s.retrace()
		s.relearn(c)
	case s.op.got.status == 'I':
		s.relearn(c)
	default:
		s.op.undo = nil
		_, _, undo := s.rowsBounds()
		c.Head = wire.AppendQuery(c.Head, undo)
		s.beginIO(phaseUndo)
		c.io(0, 1)
	}
}

// undone follows the rollback of execute_many.
func (s *Session) undone(c *Call) {
	got := &s.op.got
	s.sees(got.status)
	switch {
	case s.op.undo == nil && got.fault == nil:
		s.first = nil
		s.relearn(c)
		return
	case s.op.undo == nil:
		s.op.undo = got.fault
	}
	if got.fault != nil && s.first == nil {
		s.first = s.op.undo
	}
	c.fail(s.op.undo)
}
