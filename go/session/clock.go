package session

import (
	"time"

	"hypern/go/abi"
	"hypern/go/process"
)

// watch limits a statement's time by the client's clock, where a pooler keeps statement_timeout from
// the server. Called with mu held, when something is about to be sent.
func (s *Session) watch() {
	if s.conn.Timeout() == 0 || s.op.clock != nil || s.op.phase != phaseExecute && s.op.phase != phaseRows && s.op.phase != phaseScript {
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
