package session

import (
	"hypern/go/abi"
	"hypern/go/connection"
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
	c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: s.op.sql, Message: s.manyName() + " does not take transaction " +
		"commands, since all its rows are one transaction; use execute(), or begin(), commit() and rollback()"})
	return true
}

// manyName is the method that was called.
func (s *Session) manyName() string {
	if o, ok := s.op.kind.(*many); ok && o.returning {
		return "query_many"
	}
	return "execute_many"
}

// many is execute_many, or query_many. Where s.op.partly is set, rows were sent before these, for other declared types.
type many struct {
	preparation
	under     *connection.Catalog // what the rows are encoded by
	ahead     uint16              // guards ahead of the rows
	checks    bool                // client_encoding is looked at before the rows are committed
	returning bool                // query_many: the results of the rows are wanted
	before    int                 // how many rows were sent before these
	total     int64               // what they have affected
	fault     *wire.Fault         // phaseUndo, phaseCalm: what to report; nil: the rows are sent anew
}

func newMany(c *Call) *many {
	o := &many{returning: c.has(abi.InReturning)}
	o.init(c, o)
	return o
}

func (o *many) resume(s *Session, c *Call) {
	switch s.op.phase {
	case phaseRows:
		o.ran(s, c)
	case phaseRowsEnd:
		o.ended(s, c)
	case phaseUndo:
		o.undone(s, c)
	case phaseCalm:
		o.calmed(s, c)
	default:
		o.preparation.resume(s, c)
	}
}

func (o *many) giveUp(s *Session, c *Call, fault *wire.Fault) {
	if s.op.partly {
		o.undo(s, c, fault)
		return
	}
	c.fail(fault)
}

func (o *many) ofRow(fault *wire.Fault) *wire.Fault {
	if row := int64(o.before); len(o.declared) > 0 {
		fault.Row = &row
	}
	return fault
}

// bounds are the commands that the rows are sent between, and the one that undoes them.
func (o *many) bounds(s *Session) (begin, end, undo string) {
	if !s.op.own || s.nests() {
		release := "RELEASE " + manySavepoint
		return manySavepoint, release, "ROLLBACK TO " + manySavepoint + ";" + release
	}
	return "BEGIN", "COMMIT", "ROLLBACK"
}

// send has C send the rows of execute_many, between a BEGIN and a COMMIT, or inside a transaction
// between a savepoint and its release: all rows or none.
func (o *many) send(s *Session, c *Call, guarded bool) {
	st := o.statement
	if s.op.partly && o.under != nil && (guarded || o.ahead > 0) && o.under != st.Catalog {
		o.undo(s, c, s.alteredFault()) // what the rows sent before were encoded by is out of date
		return
	}
	o.under = st.Catalog
	c.Out = s.sendPrelude(c.Out, false)
	if o.guards.sent = 0; !s.op.partly {
		s.op.own, o.guards.saved = !s.tx.active(), s.tx.server == 'T' || s.nests()
	}
	begin, end, _ := o.bounds(s)
	// What may change client_encoding is not committed before it is known that it has not.
	// Nor are rows whose results C may find unreadable.
	o.checks = st.Effect.Settings != sqltext.Unchanged || o.returning
	if !s.op.partly {
		c.Out = appendCommand(c.Out, begin)
		s.op.prefix++
	}
	if guarded {
		o.appendGuardsAround(s, c)
	}
	if !o.checks {
		c.Tail = appendCommand(c.Tail, end)
	}
	c.Count = ^int64(s.op.prefix) // abi.RowsGoOn where no command precedes the rows
	if !s.op.partly && (!o.fresh && !o.inside && !o.retried || guarded && o.guards.reshapes < reshapesMax) {
		c.Count = int64(s.op.prefix) // should the first row be refused, the statement may be stale
	}
	c.Tail = wire.AppendSync(c.Tail)
	if st.Name == "" {
		c.Out = wire.AppendParse(c.Out, "", s.conn.Statements().Commented(st.SQL), st.OIDs)
		if o.returning && len(st.Columns()) > 0 {
			c.Out = wire.AppendDescribe(c.Out, 'S', "")
			c.Described = 1
			if guarded {
				c.Described += int(o.ahead)
			}
		}
	}
	c.Head = wire.AppendBindNames(c.Head, "", st.Name)
	c.Guards = int(o.guards.sent)
	s.beginIO(phaseRows)
	s.op.running = st
	s.op.got.ours, s.op.got.many = s.op.prefix, guarded
	c.Want = abi.WantRows
}

// sees follows the status of a ReadyForQuery.
func (s *Session) sees(status byte) {
	if status == 'I' || !s.op.own {
		s.tx = s.tx.transition(evReady, status)
	}
}

// ran takes in the outcome of all rows.
func (o *many) ran(s *Session, c *Call) {
	got := &s.op.got
	s.sees(got.status)
	s.forgetStatements(got)
	o.checkColumns(s)
	switch {
	case o.alteredBefore(s, c):
		o.outdated(s)
		o.anew(s, c)
		return
	case o.staleBefore(s, c):
		o.anew(s, c)
		return
	case c.has(abi.InDeclared) && got.fault == nil && got.copying == 0 && !got.empty:
		s.op.partly, o.retried = true, true
		o.before += got.commands - s.op.prefix
		o.total += got.rows
		o.declare(s, c)
		return
	}
	switch {
	case s.op.own || got.status != 'I':
	case got.last == "COMMIT": // by a row, in a way that commandsTransaction does not see
		s.settled(evCommitted, true)
	default: // BEGIN failed, or one of the rows has ended the transaction
		s.settled(evRolledBack, true)
	}
	fault := got.fault
	if fault != nil {
		if row := int64(o.before + got.commands - s.op.prefix); row >= 0 && (got.status != 'I' || fault.Row != nil) {
			fault.Row = &row
		}
		fault.SQL = s.op.sql
	}
	if fault != nil {
		s.explainPrelude(fault)
	}
	if fault != nil && o.alteredMeanwhile(s, c) {
		fault = s.alteredFault()
	}
	if fault == nil && got.copying != 0 {
		fault = copyFault(s.op.sql)
	}
	if fault == nil && c.has(abi.InCancelled) {
		fault = o.incompleteFault(s)
	}
	switch {
	case got.empty && fault == nil:
		c.fail(emptyFault(s.op.sql))
	case fault == nil && o.checks:
		o.check(s, c)
	case fault == nil:
		c.done(o.total + got.rows)
	case got.status == 'I':
		c.fail(fault)
	case !s.op.own && got.commands < s.op.prefix && !s.op.partly:
		if s.first == nil {
			s.first = fault
		}
		c.fail(fault) // the savepoint was not reached: the transaction itself is aborted
	default:
		o.undo(s, c, fault)
	}
}

// checkColumns compares the columns of the rows' results with those that C reads them by, as
// Session.checkColumns does.
func (o *many) checkColumns(s *Session) {
	got, st := &s.op.got, o.statement
	if got.columns != nil && got.fault == nil && !wire.SameColumns(got.columns, st.Columns()) {
		got.fault = &wire.Fault{SQLState: wire.StateFeatureNotSupported,
			Message: "the columns of the result have changed since the statement was described; run it again"}
		s.conn.Statements().ForgetText(st.SQL)
	}
}

// check ends what the rows are sent in, unless they have changed client_encoding: those behind that
// would be stored wrong.
func (o *many) check(s *Session, c *Call) {
	if s.conn.Encoding() != "" {
		o.undo(s, c, s.encodingFault())
		return
	}
	_, end, _ := o.bounds(s)
	o.total += s.op.got.rows
	s.op.prefix = 0
	s.sendQuery(c, phaseRowsEnd, end)
}

// ended follows the end that check has sent.
func (o *many) ended(s *Session, c *Call) {
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
	c.done(o.total)
}

// undo takes all rows back, and then reports the fault.
func (o *many) undo(s *Session, c *Call, fault *wire.Fault) {
	fault.SQL = s.op.sql
	o.fault = fault
	if s.op.event != nil && s.conn.Cancelling() {
		s.op.phase = phaseCalm
		c.wait(s.op.event.FD(), -1)
		return
	}
	_, _, undo := o.bounds(s)
	s.sendQuery(c, phaseUndo, undo)
}

// calmed goes on with undo once no request to cancel is under way, or the caller's time is up.
func (o *many) calmed(s *Session, c *Call) {
	switch {
	case !s.conn.Cancelling():
		o.undo(s, c, o.fault)
	case c.has(abi.InTimeout):
		s.op.outcome = outcome{abi.WantFail, 0, o.fault}
		s.overdue(c)
		c.fail(o.fault)
	default:
		c.wait(s.op.event.FD(), -1)
	}
}

// alteredBefore tells whether types were found altered before any row was accepted, and C can encode anew.
func (o *many) alteredBefore(s *Session, c *Call) bool {
	got := &s.op.got
	if o.guards.sent == 0 || o.guards.reshapes >= reshapesMax || !c.has(abi.InKept) || got.fault != nil && got.commands+1 < s.op.prefix {
		return false
	}
	switch {
	case got.fault == nil:
		return false // a row does not fit the description: the statement may be stale, too
	case s.passed(c) < o.ahead:
		return broken(got.fault.SQLState)
	}
	return got.binds <= s.op.prefix && s.misfits(got.fault.SQLState) && o.guards.reshapes == 0
}

// alteredMeanwhile tells whether guards have failed, for which the rows are not sent anew: what was sent
// was bound and executed, and then came an error that is none of COMMIT's, nor that of a row which Bind
// refused.
func (o *many) alteredMeanwhile(s *Session, c *Call) bool {
	return o.guards.sent > 0 && s.passed(c) < o.guards.sent && o.guardFailure(s, c)
}

// staleBefore tells whether to run the rows anew, once, and forgets the statement if it may be stale:
// the server refused it before the first row, or a row did not fit its description.
func (o *many) staleBefore(s *Session, c *Call) bool {
	got := &s.op.got
	refused := c.has(abi.InReparse)
	if got.fault != nil {
		refused = got.binds <= s.op.prefix && got.fault.Kind == "" && got.fault.SQLState != wire.StateQueryCanceled
	}
	if o.fresh || !refused {
		return false
	}
	if got.fault != nil && got.fault.SQLState == wire.StateUndefinedStatement {
		s.conn.Statements().ForgetAll() // DEALLOCATE ALL ran unseen
	}
	s.conn.Statements().ForgetText(o.statement.SQL) // in any case its next run is to find it new
	if o.retried || o.inside || !c.has(abi.InKept) {
		return false
	}
	o.retried = true
	return true
}

// anew undoes what went ahead of the rows and has the statement described once more.
func (o *many) anew(s *Session, c *Call) {
	o.declared = nil
	switch {
	case !s.op.own && o.guards.saved: // only its own savepoint is undone
		o.fault = nil
		c.Head = appendCommand(c.Head, "ROLLBACK TO "+manySavepoint)
		c.Head = appendCommand(c.Head, "RELEASE "+manySavepoint)
		s.sendSync(c, phaseUndo, 0)
	case !s.op.own:
		s.retrace()
		o.relearn(s, c)
	case s.op.got.status == 'I':
		o.relearn(s, c)
	default:
		o.fault = nil
		_, _, undo := o.bounds(s)
		s.sendQuery(c, phaseUndo, undo)
	}
}

// undone follows the rollback of execute_many.
func (o *many) undone(s *Session, c *Call) {
	got := &s.op.got
	s.sees(got.status)
	switch {
	case o.fault == nil && got.fault == nil:
		s.first = nil
		o.relearn(s, c)
		return
	case o.fault == nil:
		o.fault = got.fault
	}
	if got.fault != nil && s.first == nil {
		s.first = o.fault
	}
	c.fail(o.fault)
}
