package session

import (
	"time"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/process"
	"hypern/go/wire"
)

// routeReads sends a new session to a replica if there is one. wanted is a view.
func (s *Session) routeReads(wanted string) *wire.Fault {
	s.reads = true
	replica := s.pool.Replica()
	if replica == nil {
		return nil
	}
	if wanted != "" {
		position, ok := connection.ParsePosition(wanted)
		if !ok {
			return interfaceFault("not_before is no position of a server's log")
		}
		if position == connection.Unreachable {
			return nil
		}
		s.wanted = position
	}
	s.pool, s.primary = replica, s.pool
	return nil
}

// standsIn reports whether the primary serves instead of a replica that could not be reached.
func (s *Session) standsIn(fault *wire.Fault) bool {
	return s.primary != nil && fault.Kind != wire.KindPoolClosed && fault.SQLState != wire.StateQueryCanceled
}

// toPrimary has the session go on with the primary, to its end. why: no replica could be reached; nil: one could.
func (s *Session) toPrimary(why *wire.Fault) {
	if why != nil && s.pool.Missed(why) {
		s.tells = true
	}
	s.pool, s.primary = s.primary, nil
}

// lags reports whether a replica's connection has to be asked how far its server has come.
func (s *Session) lags(conn *connection.Conn) bool {
	return s.primary != nil && s.wanted.LSN != 0 && !conn.HasReplayed(s.wanted)
}

// askReplayed asks the replica at hand how far it has come; waitMS: it first waits so long for the position.
func (s *Session) askReplayed(c *Call, waitMS int64) {
	s.own()
	c.Head = wire.AppendQuery(c.Head[:0], connection.AskReplayed(s.wanted, waitMS))
	s.beginIO(phaseReplay)
	c.io(abi.IORaw, 1)
}

// One query waits no longer than this. While it runs it has a snapshot, and the standby may have to wait for the end
// of that snapshot (a recovery conflict) before it comes to the position.
const replayLookMS = 10

// replayWait returns how long the replica's server may wait for the position in one query; 0: the time is up.
func (s *Session) replayWait() int64 {
	now := process.Now()
	if s.op.waitEnds == 0 {
		s.op.waitEnds = now.Add(time.Duration(s.primary.Config().ReplicaWaitMS) * time.Millisecond)
		s.op.waitOver = now.Add(time.Duration(min(s.op.timeout, 1e9) * float64(time.Second)))
	}
	return max(0, min(s.op.waitEnds.Sub(now).Milliseconds(), replayLookMS))
}

// replayed goes on with the replica, once it has told how far it has come, or with the primary.
func (s *Session) replayed(c *Call) {
	why, got := s.receive(c, true), &s.op.got
	s.op.phase = phaseNone
	switch {
	case why != "":
		s.conn.Break()
		s.release()
		s.toPrimary(&wire.Fault{Kind: wire.KindOperational, Message: "a replica did not tell how far it has come: " + why})
	case got.fault != nil:
		s.release()
		s.toPrimary(nil)
	default:
		var row []string
		if n := len(got.data); n > 0 {
			row = got.data[n-1]
		}
		outcome, waitMS := s.conn.Replayed(row, s.wanted), s.replayWait()
		switch {
		case outcome == connection.Reached:
		case s.op.timeout >= 0 && s.op.waitOver.Sub(process.Now()) <= 0:
			s.release()
			c.fail(&wire.Fault{SQLState: wire.StateQueryCanceled, SafeToRetry: true,
				Message: s.timeoutText() + " passed while a replica was waited for"})
			return
		case outcome == connection.Behind && waitMS > 0 && !s.op.cancelled:
			s.askReplayed(c, waitMS)
			return
		default:
			s.release()
			s.toPrimary(nil)
		}
	}
	s.acquire(c)
}
