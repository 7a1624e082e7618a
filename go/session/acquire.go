package session

import (
	"fmt"
	"time"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/process"
	"hypern/go/wire"
)

// acquisition is how an operation gets a connection: by a place in the queue, and once what is still to come
// on the connection has been read.
type acquisition struct {
	then    acquirer // goes on with the connection; nil: nested, the operation starts once it has its turn
	waiter  *pool.Waiter
	waited  time.Duration  // in the pool's queue
	until   process.Moment // when the wait for a connection ends; 0 before it begins
	settled process.Moment // when the wait for this connection's answers ends; 0 before it begins
}

// acquireFor has an operation begin once the session has a connection.
func (s *Session) acquireFor(c *Call, k acquirer) {
	s.op.then = k
	s.acquire(c)
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
		conn, waiter, fault := s.pool.Acquire(s)
		switch {
		case fault != nil && s.standsIn(fault):
			s.toPrimary(fault)
			continue
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
	if s.nests() {
		s.turn(c)
		return
	}
	s.op.then.begin(s, c)
}

// resumeAcquire goes on with acquire.
func (s *Session) resumeAcquire(c *Call) {
	switch s.op.phase {
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
		if s.receive(c, false) != "" || s.op.got.fault != nil {
			s.conn.Break()
			s.release()
		}
		s.acquire(c)
	case phaseReplay:
		s.replayed(c)
	}
}

// queue has C wait for the waiter's turn.
func (s *Session) queue(c *Call, w *pool.Waiter) {
	c.wait(w.FD(), s.acquireLeft())
	c.Socket = w.Number()
}

func (s *Session) resumeQueue(c *Call) {
	w := s.op.waiter
	conn, fault, over := w.Take()
	switch {
	case !over && c.has(abi.InTimeout):
		// It leaves first: a holder is described under its session's lock, which this one has.
		w.Leave()
		s.op.waiter = nil
		s.op.waited += w.Waited()
		limit := ""
		if c.has(abi.InLate) {
			limit = s.timeoutText()
		}
		fault = w.TimeoutFault(limit)
		if limit == "" && s.standsIn(fault) {
			s.op.phase = phaseNone
			s.toPrimary(fault)
			s.acquire(c)
			return
		}
		c.fail(fault)
		return
	case !over:
		s.queue(c, w)
		return
	}
	s.op.waiter = nil
	s.op.waited += w.Waited()
	s.op.phase = phaseNone
	if fault != nil && s.standsIn(fault) {
		s.toPrimary(fault)
		s.acquire(c)
		return
	}
	if fault != nil {
		c.fail(fault)
		return
	}
	if s.settle(c, conn) {
		s.acquire(c)
	}
}

// acquireLeft is what is left of the time to wait for a connection, in milliseconds; -1 is no limit.
func (s *Session) acquireLeft() int64 {
	limit := s.pool.Config().AcquireMS
	if limit == 0 || s.op.op == abi.OpFinalize { // nested: what is open must be ended
		return -1
	}
	if s.op.until == 0 {
		s.op.until = process.Now().Add(time.Duration(limit) * time.Millisecond)
	}
	left := s.op.until.Sub(process.Now()).Milliseconds()
	if s.primary != nil {
		left -= limit / 2 // the rest is for the primary
	}
	return max(0, left)
}

// mayFollow reports whether what comes next may be sent before a reset is answered.
func (s *Session) mayFollow() bool {
	return s.opensOnly() || s.op.op == abi.OpStatement && (s.tx.owed || s.opensByItself())
}

// opensOnly reports whether the operation only opens a transaction, whose BEGIN is sent along with a statement.
func (s *Session) opensOnly() bool { return s.op.op == abi.OpBegin || s.op.op == abi.OpEnter }

// mustReset reports whether a reset that is pending has to be sent by itself: what comes next cannot be sent
// along with it. A BEGIN is not sent until a statement is.
func (s *Session) mustReset(c *Call, conn *connection.Conn) bool {
	return conn.Unreset() && !s.opensOnly() && (s.op.op != abi.OpStatement || !s.single.readyToSend(s, c, conn))
}

// settle reads the answers that are still to come on a newly acquired connection. It returns false when the
// step is over: the caller must wait. A connection that has ended is dropped, and the caller acquires another.
func (s *Session) settle(c *Call, conn *connection.Conn) bool {
	s.labels(conn)
	done := conn.Warm() || conn.Settle()
	lags := s.lags(conn)
	if (s.mustReset(c, conn) || lags && conn.Unreset()) && conn.Usable() {
		conn.ResetNow()
		done = conn.Settle()
	}
	switch {
	case done && conn.Usable() && s.primary != nil && conn.Promoted():
		s.drop(conn)
		return true
	case done && conn.Usable():
		if lags {
			s.take(conn)
			s.askReplayed(c, 0)
			return false
		}
		if s.pool.Config().TestOnAcquire && !conn.Fresh() {
			s.take(conn)
			s.own()
			s.sendSync(c, phaseProbe, 0)
			return false
		}
		s.take(conn)
		return true
	case done:
		s.drop(conn)
		return true
	case s.mayFollow() && conn.CanFollow() && !lags:
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

// settleLeft is how long the operation may wait for its connection, in milliseconds, -1 for no limit: a
// connection that has gone silent may use up half of it.
func (s *Session) settleLeft() int64 {
	left := s.acquireLeft()
	if s.op.timeout >= 0 {
		own := int64(min(s.op.timeout, 1e9) * 1000)
		if left < 0 || own < left {
			return own
		}
	}
	return left
}

// unsettled ends an operation whose time is up while answers are still to come on its connection. One that
// could have answered by now is closed.
func (s *Session) unsettled(c *Call, conn *connection.Conn) {
	s.op.phase = phaseNone
	if conn.Held() < connection.DueTime {
		s.pool.Release(conn) // they are read at its next acquire
	} else {
		s.drop(conn)
	}
	c.fail(&wire.Fault{Kind: wire.KindPoolTimeout, SafeToRetry: true, Message: fmt.Sprintf(
		"no usable connection for alias %q within %s: the one at hand has not answered the reset of the request before",
		s.key.alias, s.timeoutText())})
}

// drop closes a connection that the session was about to take.
func (s *Session) drop(conn *connection.Conn) {
	s.op.settled = 0
	conn.Break()
	s.pool.Release(conn)
}

// retryOnNewConnection runs a statement anew, since the reset ahead of it has failed: the server has skipped
// it, or it has run in a transaction that is rolled back. Where the server has refused the reset, the connection
// is repaired and counts as new; else another one is acquired.
func (s *Session) retryOnNewConnection(c *Call) {
	conn := s.conn
	s.prelude.repeat() // BEGIN among it
	s.op.phase, s.op.got = phaseNone, answer{}
	if conn.Refused() && conn.Repair() {
		s.parted()
		if !s.settle(c, conn) {
			return
		}
	} else {
		conn.Break()
		s.release()
	}
	s.acquire(c)
}
