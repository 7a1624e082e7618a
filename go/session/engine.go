package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/process"
	"hypern/go/wire"
)

// Step starts or continues the session's operation. It never blocks.
func (s *Session) Step(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Op == abi.OpAbandon:
		s.abandon(c)
	case c.Op == abi.OpContinue || c.Op == abi.OpTypes:
		s.resume(c)
	case s.op.phase != phaseNone:
		c.fail(&wire.Fault{Kind: wire.KindInterface, Message: "the session is running another operation"})
		c.State = s.packed()
		return // the other operation's state is not ours to touch
	case s.tx.closed && (c.Op == abi.OpStreamEnd || c.Op == abi.OpUndo):
		c.done(0)
	case s.tx.closed && c.Op == abi.OpFinalize:
		c.done(-1)
	case s.tx.closed:
		c.fail(s.closedFault())
	default:
		s.start(c)
	}
	over := c.Want == abi.WantDone || c.Want == abi.WantFail
	if over && (s.restoresEncoding(c) || s.checksDeferred(c)) {
		over = false
	}
	if c.Want == abi.WantIO || c.Want == abi.WantRows {
		c.FD, c.Socket, c.GraceMS = s.conn.FD(), s.conn.Socket(), s.conn.GraceMS()
		c.LimitMS = s.ioLimit()
		s.unused = !s.used
		s.used = true
		if c.ZS > 0 {
			c.ZS += s.conn.AnswersAhead()
		}
		s.watch()
		if s.conn.TLS() {
			c.IOFlags |= abi.IOTLS
		}
		if s.conn.Local() {
			c.IOFlags |= abi.IOLocal
		}
	}
	if over {
		s.end(c)
	}
	c.State = s.packed()
}

// end closes the operation, unless a request to cancel it is still under way: then the server could
// still hit whatever this connection runs next.
func (s *Session) end(c *Call) {
	s.unwatch()
	s.nameLimit(c.Fault)
	if event := s.op.event; event != nil {
		if s.conn != nil && s.conn.Cancelling() {
			s.op.outcome = outcome{c.Want, c.Count, c.Fault}
			s.op.phase = phaseCancel
			c.Fault = nil
			c.wait(event.FD(), -1)
			return
		}
		event.Close()
		s.op.event = nil
	}
	if s.conn != nil && s.conn.Halfway() {
		// Its rest must not be taken for the beginning of the next answer.
		s.op.outcome = outcome{c.Want, c.Count, c.Fault}
		s.op.phase = phaseTrail
		c.Fault = nil
		c.wait(s.conn.FD(), -1)
		return
	}
	s.tellHooks(c)
	switch {
	case s.nests():
		s.endTurn(c)
	case s.conn != nil && s.conn.Tx() != 'I' && s.ownRows():
		s.conn.Break() // its rollback was cancelled, or never sent: the server does it when the connection ends
		s.release()
	}
	s.op = operation{}
	if s.conn != nil && s.conn.Killed() != nil && !s.tx.active() && s.stream == nil {
		s.release() // the answer was faster than who ended the connection; the next statement has another
	}
}

func (s *Session) closedFault() *wire.Fault {
	return &wire.Fault{Kind: wire.KindSessionClosed, Message: fmt.Sprintf(
		"the session of request %q was finalized; db() opens a new one", s.key.request)}
}

func (s *Session) start(c *Call) {
	s.op = operation{op: c.Op, sql: c.SQL, reparse: c.has(abi.InReparse), chunk: chunk(c.Chunk), timeout: c.Timeout, block: c.Block,
		stepwise: c.has(abi.InStepwise)}
	if len(c.Declared) > 0 {
		s.op.declared = slices.Clone(c.Declared)
	}
	s.op.registered = c.has(abi.InRegistered)
	s.hooks = c.Hooks
	s.op.byRequest = c.has(abi.InRequest)
	if c.has(abi.InGuess) {
		s.op.guess = c.Plan
	}
	if s.nests() && s.needsTurn() {
		s.op.turns = true
		s.acquire(c)
		return
	}
	s.route(c)
}

// route begins the operation, once the open stream has ended.
func (s *Session) route(c *Call) {
	switch op := s.op.op; {
	case op == abi.OpMany && s.refuseTransaction(c):
	case op == abi.OpFetch || op == abi.OpStreamEnd:
		s.ofStream(c)
	case s.stream != nil && op != abi.OpFinalize && !s.endStream(c):
	default:
		s.dispatch(c)
	}
}

// dispatch begins the operation once no stream is open.
func (s *Session) dispatch(c *Call) {
	switch s.op.op {
	case abi.OpStatement, abi.OpMany, abi.OpBegin, abi.OpStream, abi.OpEnter, abi.OpScript:
		if !s.usable(c) {
			return
		}
		if s.op.op == abi.OpBegin || s.op.op == abi.OpEnter {
			s.op.sql = strings.Clone(s.op.sql)
		}
		switch {
		case s.op.op == abi.OpBegin && s.tx.active():
			c.fail(&wire.Fault{Kind: wire.KindInterface,
				Message: "begin() inside a transaction; transaction() nests with a savepoint"})
		case s.tx.lost:
			c.fail(s.lostFault())
		case s.op.op == abi.OpEnter:
			s.enter(c)
		case s.op.op == abi.OpScript && !s.openScript(c):
		default:
			s.acquire(c)
		}
	case abi.OpLeave, abi.OpUndo:
		s.leaveBlock(c)
	case abi.OpCommit, abi.OpRollback, abi.OpSavepoint, abi.OpRelease, abi.OpRollbackTo:
		name := strings.Clone(s.op.sql)
		s.op.sql = ""
		s.command(c, name)
	case abi.OpFinalize:
		s.finalize(c)
	default:
		c.fail(&wire.Fault{Kind: wire.KindInterface, Message: "unknown operation"})
	}
}

// lostFault is what a statement gets in a transaction whose connection is gone. The caller knows
// from then on, so that finalize need not say it again.
func (s *Session) lostFault() *wire.Fault {
	s.told = true
	fault := &wire.Fault{Kind: wire.KindConnectionLost, Cause: s.first,
		Message: "the transaction was lost with its connection; call rollback() before anything else"}
	if s.first != nil && s.first.Kind == wire.KindPoolClosed {
		fault.Kind, fault.Message = s.first.Kind, s.first.Message
	}
	return fault
}

// acquire sees to it that the session has a usable connection, then goes on with the operation.
func (s *Session) acquire(c *Call) {
	if s.conn != nil && (s.conn.AnswersAhead() > 0 && !s.mayFollow() || s.mustReset(c, s.conn) || !s.used && s.conn.Rested()) {
		conn := s.conn
		s.conn = nil
		if !s.settle(c, conn) {
			return
		}
	}
	for s.conn == nil {
		if s.op.cancelled {
			c.fail(cancelledFault("while waiting for a connection"))
			return
		}
		if s.op.phase != phasePassword && s.pool.NeedsPassword() {
			s.own()
			s.op.phase = phasePassword
			c.Want = abi.WantPassword
			return
		}
		conn, waiter, fault := s.pool.Acquire(s)
		switch {
		case fault != nil:
			c.fail(fault)
			return
		case waiter != nil:
			s.own()
			s.op.waiter = waiter
			s.op.phase = phaseQueue
			s.queue(c, waiter)
			return
		}
		if !s.settle(c, conn) {
			return
		}
	}
	s.op.inside = s.within()
	if s.nests() {
		s.turn(c)
		return
	}
	s.begin(c)
}

// queue has C wait for the waiter's turn.
func (s *Session) queue(c *Call, w *pool.Waiter) {
	c.wait(w.FD(), s.acquireLeft())
	c.Socket = w.Number()
}

// acquireLeft is what is left of the time to wait for a connection, in milliseconds; -1 is no limit.
func (s *Session) acquireLeft() int64 {
	limit := s.pool.Config().AcquireMS
	if limit == 0 || s.op.op == abi.OpFinalize { // nested: what is open must be ended
		return -1
	}
	if s.op.until == 0 {
		s.op.until = process.Now().Add(time.Duration(limit) * time.Millisecond)
		return limit
	}
	return max(0, s.op.until.Sub(process.Now()).Milliseconds())
}

// readyToSend reports whether the statement can be sent to conn at once, without asking C or the server.
func (s *Session) readyToSend(c *Call, conn *connection.Conn) bool {
	if s.op.op != abi.OpStatement || s.op.reparse || s.op.cancelled || c.BodyLen > abi.TextMax {
		return false
	}
	st := s.known(conn)
	return st != nil && st.Plan == s.op.guess && st.Shape != nil && st.Shape.Current() &&
		len(conn.MissingGuards(st.Shape)) == 0
}

// mayFollow reports whether what comes next may be sent before a reset is answered.
func (s *Session) mayFollow() bool {
	return s.opensOnly() || s.op.op == abi.OpStatement && s.tx.owed
}

// opensOnly reports whether the operation only opens a transaction, whose BEGIN is sent along with a statement.
func (s *Session) opensOnly() bool { return s.op.op == abi.OpBegin || s.op.op == abi.OpEnter }

// mustReset reports whether a reset that is pending has to be sent by itself: what comes next cannot be sent
// along with it. A BEGIN is not sent until a statement is.
func (s *Session) mustReset(c *Call, conn *connection.Conn) bool {
	return conn.Unreset() && !s.opensOnly() && !s.readyToSend(c, conn)
}

// settle reads the answers that are still to come on a newly acquired connection. It returns false when the
// step is over: the caller must wait. A connection that has ended is dropped, and the caller acquires another.
func (s *Session) settle(c *Call, conn *connection.Conn) bool {
	done := conn.Warm() || conn.Settle()
	if s.mustReset(c, conn) && conn.Usable() {
		conn.ResetNow()
		done = conn.Settle()
	}
	switch {
	case done && conn.Usable():
		if s.pool.Config().TestOnAcquire && !conn.Fresh() {
			s.take(conn)
			s.own()
			s.op.phase = phaseProbe
			c.Head = wire.AppendSync(c.Head)
			c.io(0, 1)
			return false
		}
		s.take(conn)
		return true
	case done:
		s.drop(conn)
		return true
	case s.mayFollow() && conn.CanFollow():
		// The transaction's first statement is sent and answered behind the reset. Should the reset have
		// failed, the statement is rolled back and runs once more; outside a transaction it would be too late.
		s.take(conn)
		conn.Follow()
		return true
	}
	s.conn = conn
	s.own()
	s.op.phase = phaseSettle
	// A connection that has gone silent must not use up the time that another one takes to make.
	left := s.settleLeft()
	if left > 0 && s.op.settled == 0 {
		s.op.settled = process.Now().Add(max(time.Duration(left)*time.Millisecond/2, connection.DueTime))
	}
	if left > 0 {
		left = max(0, s.op.settled.Sub(process.Now()).Milliseconds())
	}
	c.wait(conn.FD(), left)
	return false
}

// drop closes a connection that the session was about to take.
func (s *Session) drop(conn *connection.Conn) {
	s.op.settled = 0
	conn.Break()
	s.pool.Release(conn)
}

// own clones the statement's text: it is a view of C memory until here, and another step will need it.
func (s *Session) own() {
	if s.op.statement == nil && !s.op.owned {
		s.op.sql, s.op.owned = strings.Clone(s.op.sql), true
	}
}

// begin goes on with an operation that has its connection.
func (s *Session) begin(c *Call) {
	switch s.op.op {
	case abi.OpStatement, abi.OpMany, abi.OpStream:
		s.statement(c)
	case abi.OpBegin:
		s.beginTransaction(c, s.op.sql)
	case abi.OpEnter:
		s.entered(c)
	case abi.OpScript:
		s.beginScript(c)
	}
}

// beginTransaction has BEGIN travel with the next statement.
func (s *Session) beginTransaction(c *Call, sql string) {
	s.first, s.told, s.inDoubt = nil, false, false
	s.savepoints = s.savepoints[:0]
	if s.nests() {
		s.transact(c, sql, phaseVerdict)
		return
	}
	s.tx = s.tx.transition(evBegin, 0)
	s.owed = append(s.owed[:0], sql)
	c.done(0)
}

// within tells whether the server is inside a transaction that the operation did not begin.
func (s *Session) within() bool { return s.tx.server != 'I' || s.nests() }

// resume continues the operation with what has happened.
func (s *Session) resume(c *Call) {
	switch s.op.phase {
	case phasePassword:
		s.pool.SetPassword(strings.Clone(c.SQL))
		s.acquire(c)
	case phaseQueue:
		s.resumeQueue(c)
	case phaseSettle:
		conn := s.conn
		s.conn = nil
		switch {
		case c.has(abi.InLate):
			s.unsettled(c, conn)
		case c.has(abi.InTimeout):
			s.drop(conn)
			s.acquire(c)
		case s.settle(c, conn):
			s.acquire(c)
		}
	case phaseProbe:
		s.op.got = answer{}
		if s.receive(c, false) != "" || s.op.got.fault != nil {
			s.conn.Break()
			s.release()
		}
		s.acquire(c)
	case phaseEncode:
		switch {
		case c.Op == abi.OpTypes:
			s.describeTypes(c)
		case c.has(abi.InCancelled) && s.op.more: // the caller has an error of its own
			s.undoRows(c, &wire.Fault{Kind: wire.KindOperational, Message: "the rows were not completed"})
		case c.has(abi.InDeclared):
			s.declare(c)
		default:
			s.op.looking = s.op.looking || c.has(abi.InReparse)
			s.op.refused = c.has(abi.InReparse)
			s.execute(c)
		}
	case phaseCalm:
		s.calmed(c)
	case phaseCancel:
		if s.conn != nil && s.conn.Cancelling() && !s.overdue(c) {
			c.wait(s.op.event.FD(), -1)
			return
		}
		c.Want, c.Count, c.Fault = s.op.outcome.want, s.op.outcome.count, s.op.outcome.fault
	case phaseTrail:
		if !s.conn.Settle() && !s.overdue(c) {
			c.wait(s.conn.FD(), -1)
			return
		}
		c.Want, c.Count, c.Fault = s.op.outcome.want, s.op.outcome.count, s.op.outcome.fault
	case phaseDescribe, phaseTypes, phaseGuard, phaseLook, phaseReshape, phaseExecute, phaseRows, phaseRowsEnd, phaseUndo, phaseStreamEnd,
		phaseScriptBegin, phaseScript, phaseScriptSettings, phaseScriptEnd, phaseVerdict, phaseFarewell, phaseEncoding, phaseTurn, phaseCheck:
		s.resumeIO(c)
	default:
		c.fail(&wire.Fault{Kind: wire.KindInterface, Message: "no operation to continue"})
	}
}

// overdue tells whether the caller's time is up for what his operation, whose outcome is known, still
// waits for on its connection. Then the connection is given up, and the outcome stands.
func (s *Session) overdue(c *Call) bool {
	if !c.has(abi.InTimeout) {
		return false
	}
	inside, fault := s.tx.active(), s.op.outcome.fault
	_ = s.lose("it was not fit to be used again in time", true) // whoever uses the transaction next is told
	if inside && fault != nil {
		fault.Message += "; the transaction was lost with its connection, which was not fit to be used again in time"
	}
	return true
}

func (s *Session) resumeQueue(c *Call) {
	w := s.op.waiter
	conn, fault, over := w.Take()
	switch {
	case !over && c.has(abi.InTimeout):
		// It leaves first: a holder is described under its session's lock, which this one has.
		w.Leave()
		s.op.waiter = nil
		limit := ""
		if c.has(abi.InLate) {
			limit = s.timeoutText()
		}
		c.fail(w.TimeoutFault(limit))
		return
	case !over:
		s.queue(c, w)
		return
	}
	s.op.waiter = nil
	s.op.phase = phaseNone
	if fault != nil {
		c.fail(fault)
		return
	}
	if s.settle(c, conn) {
		s.acquire(c)
	}
}

// abandon gives the operation up. A connection that is in I/O is dropped; one that is not stays.
func (s *Session) abandon(c *Call) {
	fault := &wire.Fault{Kind: wire.KindOperational, SQLState: wire.StateQueryCanceled,
		Message: "the operation was given up by its caller"}
	waits := s.op.phase == phaseQueue
	switch s.op.phase {
	case phaseNone, phasePassword:
	case phaseEncode:
		if s.op.more { // a transaction of execute_many's own is open, or its savepoint
			fault = s.lose("its operation was given up", true)
			s.told = true
		}
	case phaseQueue:
		s.op.waiter.Leave()
	case phaseSettle:
		conn := s.conn
		s.conn = nil
		s.pool.Release(conn) // what it owes is collected at its next acquire
	case phaseCancel:
		if s.op.event != nil && s.conn != nil && s.conn.Cancelling() {
			_ = s.lose("its operation was given up", true) // fault below says it
		}
	default:
		if s.op.event != nil {
			s.conn.Abandon()
		}
		fault = s.lose("its operation was given up", s.mayHaveRun(c))
		s.told = true
	}
	if c.has(abi.InLate) {
		s.explainLate(fault)
	}
	s.unwatch()
	if s.op.event != nil {
		s.op.event.Close()
		s.op.event = nil
	}
	s.op.phase = phaseNone
	if s.op.op == abi.OpFinalize && !waits { // else what is open is still to be ended
		s.close()
	}
	c.fail(fault)
}
