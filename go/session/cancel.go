package session

import (
	"time"

	"hypern/go/abi"
	"hypern/go/process"
	"hypern/go/wire"
)

// interruption is what may end an operation early, and what has.
type interruption struct {
	cause      cause
	cancelled  bool           // Cancel was called; nothing more is to be started
	byDeadline bool           // timeout is what is left of the scope's deadline
	timeout    float64        // the caller's timeout= in seconds; below 0: none
	event      *process.Event // set when the request to cancel is over; nil: none was made
	clock      *time.Timer    // cancels the statement; nil where the server keeps the time
}

// Cancel ends what runs on the session's connection, from any thread: by asking the server, or by
// shutting the connection down. It reports whether there was anything to end.
func (s *Session) Cancel(how int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancel(how, causeOf(how))
}

// cancel: called with mu held.
func (s *Session) cancel(how int32, why cause) bool {
	if s.op.cause == causeNone {
		s.op.cause = why
	}
	if s.op.phase == phaseQueue {
		s.op.waiter.Fail(cancelledFault("while waiting for a connection"))
		return true
	}
	if s.conn == nil || s.op.phase == phaseNone {
		return false
	}
	s.op.cancelled = true
	if how != abi.CancelKill && s.uninterruptible() {
		return true
	}
	if how == abi.CancelKill {
		s.conn.Kill(&wire.Fault{Kind: wire.KindConnectionLost, Message: "the statement did not end in time " +
			"after it was cancelled, so its connection was closed"})
		return true
	}
	if s.op.event == nil {
		event, err := process.NewEvent()
		if err != nil {
			return false
		}
		s.op.event = event
		again := cancelAgain
		if s.op.op == abi.OpMany {
			again = cancelAgainRows
		}
		s.askToCancel(event, again)
	}
	return true
}

// How long a cancelled statement may take to end before the request is repeated, first and at most: one
// that arrives ahead of the statement has no effect.
const (
	cancelAgain    = 50 * time.Millisecond
	cancelAgainMax = 400 * time.Millisecond
	// cancelAgainRows is for execute_many: a request that falls between two short statements has no effect
	// either, and one of several does not.
	cancelAgainRows = 3 * time.Millisecond
)

// askToCancel sends a request to cancel, and again, each time after twice the time, until the operation
// of this event has ended. Called with mu held.
func (s *Session) askToCancel(event *process.Event, again time.Duration) {
	s.conn.Cancel(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.op.event != event || !s.op.phase.cancellable() {
			event.Set()
			return
		}
		time.AfterFunc(again, func() {
			process.Go(func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.op.event == event && s.op.phase.cancellable() && s.conn != nil {
					s.askToCancel(event, longer(again))
				}
			})
		})
	})
}

// longer is the time until the next request, after this time had no effect.
func longer(again time.Duration) time.Duration {
	if again < cancelAgain {
		return again * 9 / 8
	}
	return min(2*again, cancelAgainMax)
}

// cancelledFault is for what was cancelled before the server had anything to do with it.
func cancelledFault(when string) *wire.Fault {
	return &wire.Fault{SQLState: wire.StateQueryCanceled, SafeToRetry: true,
		Message: "cancelled " + when}
}

// watch limits a statement's time by the client's clock, where a pooler keeps statement_timeout from
// the server. Called with mu held, when something is about to be sent.
func (s *Session) watch() {
	if s.conn.Timeout() == 0 || s.op.clock != nil || s.op.phase != phaseExecute && s.op.phase != phaseRows && s.op.phase != phaseScript && s.op.phase != phaseBatch && s.op.phase != phaseCopyData && s.op.phase != phaseCopyOut {
		return
	}
	var clock *time.Timer
	clock = time.AfterFunc(s.conn.Timeout(), func() {
		process.Go(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.op.clock == clock {
				s.cancel(abi.CancelRequest, causeClock)
			}
		})
	})
	s.op.clock = clock
}

// unwatch follows the end of the statement. Called with mu held.
func (s *Session) unwatch() {
	if s.op.clock != nil {
		s.op.clock.Stop()
		s.op.clock = nil
	}
}
