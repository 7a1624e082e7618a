package session

import (
	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// batchListener follows the commands of a run, each by its own statement.
type batchListener struct {
	*connection.Conn
	batch *batch
	got   *answer
}

// Completed follows a command that the server has completed.
func (l batchListener) Completed(word string, _ *connection.Statement) {
	var st *connection.Statement
	if i := l.batch.first + l.got.commands - l.got.ours - 1; i >= l.batch.first && i < l.batch.limit {
		st = l.batch.items[i].statement
	}
	l.Conn.Completed(word, st)
}

// ran takes in the outcome of a run.
func (b *batch) ran(s *Session, c *Call) {
	got := &s.op.got
	if s.op.own {
		s.sees(got.status)
	} else {
		s.ready(got)
	}
	s.forgetStatements(got)
	fault := b.faultOf(s, c)
	switch {
	case fault != nil && b.stale(s, c, fault):
		b.again(s, c)
	case fault != nil:
		b.fail(s, c, fault)
	case b.limit < len(b.items):
		s.op.partly = true
		b.first = b.limit
		b.prepare(s, c)
	case s.op.own && !b.commits:
		b.commit(s, c)
	default:
		c.done(int64(len(b.items)))
	}
}

// faultOf is what has failed, with the item that it is of; nil if nothing has.
func (b *batch) faultOf(s *Session, c *Call) *wire.Fault {
	got := &s.op.got
	if c.has(abi.InCancelled) {
		return &wire.Fault{SQLState: wire.StateQueryCanceled, Message: "the batch was cancelled before all of it was sent"}
	}
	if got.fault != nil {
		if i := b.first + got.commands - s.op.prefix; got.commands >= s.op.prefix && i < b.limit {
			return b.ofItem(got.fault, i)
		}
		return got.fault
	}
	if i := b.changedColumns(c); i >= 0 {
		s.conn.Statements().ForgetText(b.items[i].sql)
		return b.ofItem(&wire.Fault{SQLState: wire.StateFeatureNotSupported,
			Message: "the columns of the result have changed since the statement was described; it has run"}, i)
	}
	return nil
}

// changedColumns is the first item whose columns are not those that C reads its rows by; -1 if there is none.
// A statement that is parsed anew is described anew, too.
func (b *batch) changedColumns(c *Call) int {
	ctl := c.Ctl
	for i := b.first; i < b.limit; i++ {
		st := b.items[i].statement
		for st.Name == "" {
			f, rest, whole, err := wire.Next(ctl)
			if err != nil || !whole {
				return -1
			}
			ctl = rest
			if f.Kind == 'n' && len(st.Columns()) > 0 || f.Kind == 'T' && !wire.SameColumns(f.Body, st.Columns()) {
				return i
			}
			if f.Kind == 'n' || f.Kind == 'T' {
				break
			}
		}
	}
	return -1
}

// stale returns whether to run the batch anew, once, and forgets statements that may be stale.
func (b *batch) stale(s *Session, c *Call, fault *wire.Fault) bool {
	got := &s.op.got
	if got.fault == nil || fault.Index == nil || c.has(abi.InCancelled) {
		return false
	}
	it := &b.items[*fault.Index]
	unbound := got.binds <= s.op.prefix+it.index-b.first
	stale := !it.fresh && fault.Kind == "" && fault.SQLState != wire.StateQueryCanceled &&
		(unbound || fault.SQLState == wire.StateFeatureNotSupported)
	switch {
	case fault.SQLState == wire.StateUndefinedStatement:
		s.conn.Statements().ForgetAll() // a DEALLOCATE ALL inside a function shows in nothing else
	case stale || it.fresh:
		s.conn.Statements().ForgetText(it.sql)
	}
	if !stale || !unbound || b.retried || b.inside || s.op.partly {
		return false
	}
	for i := range b.items {
		if !b.items[i].fresh {
			s.conn.Statements().ForgetText(b.items[i].sql)
		}
	}
	b.retried = true
	return true
}

// again runs the whole batch anew.
func (b *batch) again(s *Session, c *Call) {
	switch {
	case s.op.own && s.op.got.status != 'I':
		b.anew = true
		b.undo(s, c, nil)
		return
	case s.op.prefix > 0 && !s.op.own:
		s.retrace()
	}
	b.restart(s, c)
}

func (b *batch) restart(s *Session, c *Call) {
	s.op.own, s.op.partly = false, false
	b.first, b.anew = 0, false
	b.forget()
	b.prepare(s, c)
}

// fail reports the fault, behind a rollback of what the batch has done in a transaction of its own.
func (b *batch) fail(s *Session, c *Call, fault *wire.Fault) {
	if s.op.own && s.conn.Tx() != 'I' {
		b.undo(s, c, fault)
		return
	}
	s.finish(c, fault)
}

// commit ends the batch's own transaction, unless its statements have changed client_encoding.
func (b *batch) commit(s *Session, c *Call) {
	if s.conn.Encoding() != "" {
		b.undo(s, c, s.encodingFault())
		return
	}
	c.Head = wire.AppendQuery(c.Head, "COMMIT")
	s.beginIO(phaseRowsEnd)
	s.op.prefix, s.op.commits = 0, true
	c.io(0, 1)
}

// committed follows that.
func (b *batch) committed(s *Session, c *Call) {
	got := &s.op.got
	s.sees(got.status)
	if got.fault != nil {
		s.finish(c, got.fault)
		return
	}
	c.done(int64(len(b.items)))
}

// undo rolls the batch's own transaction back, and then reports the fault, if there is one.
func (b *batch) undo(s *Session, c *Call, fault *wire.Fault) {
	b.fault = fault
	if s.op.event != nil && s.conn.Cancelling() {
		s.op.phase = phaseCalm
		c.wait(s.op.event.FD(), -1)
		return
	}
	c.Head = wire.AppendQuery(c.Head, "ROLLBACK")
	s.beginIO(phaseUndo)
	c.io(0, 1)
}

// calmed goes on with undo once no request to cancel is under way, or the caller's time is up.
func (b *batch) calmed(s *Session, c *Call) {
	switch {
	case !s.conn.Cancelling():
		b.undo(s, c, b.fault)
	case c.has(abi.InTimeout):
		s.op.outcome = outcome{abi.WantFail, 0, b.fault}
		s.overdue(c)
		c.fail(b.fault)
	default:
		c.wait(s.op.event.FD(), -1)
	}
}

// undone follows the rollback.
func (b *batch) undone(s *Session, c *Call) {
	got := &s.op.got
	s.sees(got.status)
	fault := b.fault
	if fault == nil {
		fault = got.fault
	}
	switch {
	case fault != nil:
		s.finish(c, fault)
	case b.anew:
		b.restart(s, c)
	default: // the batch has a statement that must run apart
		c.done(0)
	}
}

// isPlain returns whether the whole batch is one run, of statements that need no BEGIN.
func (b *batch) isPlain() bool {
	if b.first > 0 || b.limit < len(b.items) {
		return false
	}
	for i := range b.items {
		if it := &b.items[i]; !it.plain || it.statement.Effect.Settings != sqltext.Unchanged {
			return false
		}
	}
	return true
}
