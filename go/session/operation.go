package session

import (
	"fmt"
	"strings"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

// kind is an operation of one kind: what it does, and what only it has to remember. One is under way in a
// session at a time.
//
//	single      a statement with all its rows (statement.go)
//	many        execute_many (rows.go)
//	streaming   a statement or a further chunk, as a stream (stream.go)
//	closing     the end of a stream before its last row (stream.go)
//	script      execute_script (script.go)
//	batch       several statements in one write (batch.go)
//	opening     begin(), and the entry of a block (block.go)
//	control     commit, rollback and the savepoint commands (commands.go)
//	leaving     the end of a block (block.go)
//	finalizing  the end of the session (finalize.go)
//	copying     COPY FROM STDIN (copy.go)
//	copyingOut  COPY TO STDOUT, or a further chunk of it (copy_out.go)
//	givingBack  release(), which gives the connection back before the end (giveback.go)
type kind interface {
	// start begins the operation, once no other stream is open.
	start(s *Session, c *Call)
	// resume goes on in a phase that the kind has begun, once the server has answered or C has encoded.
	resume(s *Session, c *Call)
}

// acquirer is a kind that asks for a connection (Session.acquireFor).
type acquirer interface {
	kind
	// begin goes on with the connection. It is called once more where the operation runs anew on another one.
	begin(s *Session, c *Call)
}

// kindOf is the operation that a call starts; nil if there is none such.
func (s *Session) kindOf(c *Call) kind {
	switch c.Op {
	case abi.OpStatement:
		s.single.init(c, &s.single)
		s.single.tagged, s.single.tag = c.has(abi.InTag), ""
		return &s.single
	case abi.OpBegin, abi.OpEnter:
		s.opening = opening{block: c.Block}
		return &s.opening
	case abi.OpCommit, abi.OpRollback, abi.OpSavepoint, abi.OpRelease, abi.OpRollbackTo, abi.OpSetLocal:
		s.leaving = leaving{control: control{byRequest: c.has(abi.InRequest)}}
		return &s.leaving.control
	case abi.OpFinalize:
		s.finalizing = finalizing{}
		return &s.finalizing
	case abi.OpLeave, abi.OpUndo:
		s.leaving = leaving{block: c.Block}
		return &s.leaving
	case abi.OpMany:
		return newMany(c)
	case abi.OpCopyOut:
		return newCopyingOut(c)
	case abi.OpStream, abi.OpFetch:
		if s.copied(c) {
			return &copyingOut{further: true}
		}
		return newStreaming(c)
	case abi.OpStreamEnd:
		return closing{}
	case abi.OpBatch:
		return newBatch(c)
	case abi.OpGiveBack:
		return givingBack{}
	case abi.OpCopyIn:
		return newCopying(c)
	case abi.OpScript:
		return &script{stepwise: c.has(abi.InStepwise)}
	}
	return nil
}

// operation is what the operation under way has in common with those of other kinds.
type operation struct {
	kind     kind
	op       abi.Op
	phase    phase
	owned    bool   // sql is no view of C memory
	own      bool   // it has a transaction of its own around it, which the session's state does not show
	partly   bool   // statements or rows before those under way have run
	commits  bool   // a COMMIT of the core's own ends the I/O under way
	observed bool   // where it ran, and how long it has waited, are reported
	moved    bool   // to another connection, since the first had ended before it was used
	sql      string // the text of what runs: a view of C memory until own, or a Statement's
	hooks    hooks  // what becomes of the functions that wait for a commit
	ending   *streamEnd
	copyEnd  *copyEnd
	mapped   *mapped // nested: the transaction command under way
	outcome  outcome // phaseCancel, phaseTrail, phaseCheck, phaseEncoding: what to report
	acquisition
	interruption
	exchange
	trail
}

// exchange is the I/O under way.
type exchange struct {
	prefix   int // commands ahead of the statement's own
	got      answer
	running  *connection.Statement // the caller's that the server runs, or nil
	refused  bool                  // a COPY: its answer ends with an empty query's
	listener listener              // who follows the answer; nil: the connection
}

type outcome struct {
	want  abi.Want
	count int64
	fault *wire.Fault
}

func (s *Session) beginIO(p phase) {
	s.op.phase, s.op.commits, s.op.trailed = p, false, false
	s.op.running, s.op.listener, s.op.refused = nil, nil, false
	s.op.got = answer{localAt: s.localAt}
	s.localAt = 0
}

// sendQuery has C send a simple Query behind what c.Head holds.
func (s *Session) sendQuery(c *Call, p phase, sql string) {
	c.Head = wire.AppendQuery(c.Head, sql)
	s.beginIO(p)
	c.io(0, 1)
}

// sendSync has C send what c.Head holds, and a Sync.
func (s *Session) sendSync(c *Call, p phase, flags uint32) {
	c.Head = wire.AppendSync(c.Head)
	s.beginIO(p)
	c.io(flags, 1)
}

// own clones the operation's text: it is a view of C memory until here, and another step will need it.
func (s *Session) own() {
	if !s.op.owned {
		s.op.sql, s.op.owned = strings.Clone(s.op.sql), true
	}
}

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
		c.fail(interfaceFault("the session is running another operation"))
		c.State = s.packed()
		return // the other operation's state stays as it is
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
	if over && (s.restoresEncoding(c) || s.checksDeferred(c) || s.asksWritten(c)) {
		over = false
	}
	if c.Want == abi.WantIO || c.Want == abi.WantRows || c.Want == abi.WantBatch || c.Want == abi.WantCopy {
		s.describeIO(c)
	}
	if over {
		s.end(c)
		s.reportWritten(c)
	}
	c.State = s.packed()
	if s.tells && (c.Want == abi.WantDone || c.Want == abi.WantFail) {
		s.tells = false
		c.State |= abi.FlagNoReplica
	}
}

// describeIO completes a step that has C send and receive.
func (s *Session) describeIO(c *Call) {
	c.FD, c.Socket, c.GraceMS = s.conn.FD(), s.conn.Socket(), s.conn.GraceMS()
	c.LimitMS = s.ioLimit()
	s.unused = !s.used
	s.used = true
	s.sendsCallers()
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

func (s *Session) start(c *Call) {
	s.op.op, s.op.kind, s.op.sql = c.Op, s.kindOf(c), c.SQL // else it is as end has left it
	s.op.cause, s.op.timeout = causeNone, c.Timeout
	s.op.byDeadline = c.has(abi.InDeadline)
	if s.op.observed = c.has(abi.InObserved); s.op.observed && s.conn == nil {
		s.where = ""
	}
	s.hooks = c.Hooks
	switch {
	case s.op.kind == nil:
		c.fail(interfaceFault("unknown operation"))
	case s.nests() && s.needsTurn():
		s.acquire(c)
	default:
		s.route(c)
	}
}

// route starts the operation, once the open stream has ended.
func (s *Session) route(c *Call) {
	switch op := s.op.op; {
	case s.copy != nil && !s.copied(c):
		s.endCopy(c, true)
	case op == abi.OpMany && s.refuseTransaction(c):
	case op == abi.OpFetch || op == abi.OpStreamEnd || op == abi.OpFinalize || s.stream == nil || s.endStream(c, true):
		s.op.kind.start(s, c)
	}
}

// fit fails the call where no statement may run: in blocks whose transaction has ended, and in a transaction
// whose connection is gone.
func (s *Session) fit(c *Call) bool {
	if !s.usable(c) {
		return false
	}
	if s.tx.lost {
		c.fail(s.lostFault())
		return false
	}
	return s.permitted(c)
}

// resume continues the operation with what has happened.
func (s *Session) resume(c *Call) {
	switch s.op.phase {
	case phaseNone:
		c.fail(interfaceFault("no operation to continue"))
	case phaseQueue, phaseSettle, phaseProbe, phaseReplay:
		s.resumeAcquire(c)
	case phasePosition:
		s.resumeFollowed(c)
	case phaseCopyCalm:
		s.op.copyEnd.calmed(s, c)
	case phaseEncode, phaseCalm:
		s.op.kind.resume(s, c)
	case phaseCancel, phaseTrail:
		s.resumeEnd(c)
	default:
		s.resumeIO(c)
	}
}

// end closes the operation, unless a request to cancel it is still under way: then the server could
// still hit whatever this connection runs next.
func (s *Session) end(c *Call) {
	s.unwatch()
	s.nameLimit(c.Fault)
	if event := s.op.event; event != nil {
		if s.conn != nil && s.conn.Cancelling() {
			s.prolong(c, phaseCancel, event.FD())
			return
		}
		event.Close()
		s.op.event = nil
	}
	if s.conn != nil && s.conn.Halfway() {
		s.prolong(c, phaseTrail, s.conn.FD()) // its rest must not be taken for the beginning of the next answer
		return
	}
	s.tellHooks(c)
	if o, ok := s.op.kind.(*single); ok && c.Want == abi.WantDone {
		c.Out = append(c.Out, o.tag...)
	}
	if s.op.observed {
		c.Tail, c.Waited = append(c.Tail[:0], s.where...), s.op.waited
	}
	switch {
	case s.nests():
		s.endTurn(c)
	case s.conn != nil && s.conn.Tx() != 'I' && s.op.own:
		s.conn.Break() // its rollback was cancelled, or never sent: the server does it when the connection ends
		s.release()
	}
	s.op = operation{}
	if s.conn != nil && (s.conn.Killed() != nil || s.tracks() && !s.conn.Sound()) && !s.tx.active() && s.stream == nil && s.copy == nil {
		s.release() // the answer was faster than who ended the connection; the next statement has another
	}
}

// prolong keeps the outcome of an operation until a descriptor is readable.
func (s *Session) prolong(c *Call, p phase, fd int) {
	s.op.outcome = outcome{c.Want, c.Count, c.Fault}
	s.op.phase, c.Fault = p, nil
	c.wait(fd, -1)
}

// resumeEnd ends the operation once what end waits for is over, or the caller's time.
func (s *Session) resumeEnd(c *Call) {
	switch {
	case s.op.phase == phaseCancel && s.conn != nil && s.conn.Cancelling() && !s.overdue(c):
		c.wait(s.op.event.FD(), -1)
	case s.op.phase == phaseTrail && !s.conn.Settle() && !s.overdue(c):
		c.wait(s.conn.FD(), -1)
	default:
		c.Want, c.Count, c.Fault = s.op.outcome.want, s.op.outcome.count, s.op.outcome.fault
	}
}

// overdue returns whether the caller's time is up for what the operation, whose outcome is known, still
// waits for on its connection. Then the connection is dropped, and the outcome stands.
func (s *Session) overdue(c *Call) bool {
	if !c.has(abi.InTimeout) {
		return false
	}
	inside, fault := s.tx.active(), s.op.outcome.fault
	_ = s.lose("it was not fit to be used again in time", true) // the transaction's next statement reports it
	if inside && fault != nil {
		fault.Message += "; the transaction was lost with its connection, which was not fit to be used again in time"
	}
	return true
}

// abandon ends the operation unfinished. A connection that is in I/O is dropped; one that is not stays.
func (s *Session) abandon(c *Call) {
	fault := &wire.Fault{Kind: wire.KindOperational, SQLState: wire.StateQueryCanceled,
		Message: "the operation was given up by its caller"}
	waits := s.op.phase == phaseQueue
	switch s.op.phase {
	case phaseNone:
	case phaseEncode:
		if s.op.partly { // a transaction of execute_many's own is open, or its savepoint
			fault = s.lose("its operation was given up", true)
			s.told = true
		}
	case phaseQueue:
		s.op.waiter.Leave()
	case phaseSettle:
		conn := s.conn
		s.conn = nil
		s.pool.Release(conn) // the answers still to come are read at its next acquire
	case phaseCancel:
		if s.op.event != nil && s.conn != nil && s.conn.Cancelling() {
			_ = s.lose("its operation was given up", true) // fault below reports it
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

func (s *Session) closedFault() *wire.Fault {
	return &wire.Fault{Kind: wire.KindSessionClosed, Message: fmt.Sprintf(
		"the session of request %q was finalized; call db() for another one, in a scope() of its own where the "+
			"request has ended", s.key.request)}
}

// lostFault is what a statement gets in a transaction whose connection is gone. The caller knows
// from then on, so that finalize need not report it again.
func (s *Session) lostFault() *wire.Fault {
	s.told = true
	fault := &wire.Fault{Kind: wire.KindConnectionLost, Cause: s.first,
		Message: "the transaction was lost with its connection; call rollback() before anything else"}
	if s.first != nil && s.first.Kind == wire.KindPoolClosed {
		fault.Kind, fault.Message = s.first.Kind, s.first.Message
	}
	return fault
}
