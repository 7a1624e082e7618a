package session

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"hypern/go/abi"
	"hypern/go/wire"
)

// cause is why an operation was cancelled: the first reason counts.
type cause uint8

const (
	causeNone    cause = iota
	causeCaller        // an interrupt, a cancelled task, or finalize in another thread
	causeTimeout       // the caller's timeout=
	causeClock         // statement_timeout_secs by the client's clock
)

func causeOf(how int32) cause {
	if how == abi.CancelLate {
		return causeTimeout
	}
	return causeCaller
}

// What the server says where the language of its messages is English.
const (
	serverCancelled = "canceling statement due to user request"
	serverTimeout   = "canceling statement due to statement timeout"
)

// timeoutText names the caller's limit, as in timeout=0.5 s, or that of the session's scope.
func (s *Session) timeoutText() string {
	if s.op.byDeadline {
		return "deadline_secs=" + s.scope.deadline + " s"
	}
	return "timeout=" + seconds(s.op.timeout)
}

// pastDeadline is the fault of a COMMIT that is not sent since the scope's deadline has passed; nil: it has not.
func (s *Session) pastDeadline() *wire.Fault {
	if !s.op.byDeadline || s.op.timeout > 0 {
		return nil
	}
	return &wire.Fault{SQLState: wire.StateQueryCanceled, Message: s.timeoutText() +
		" of the scope has passed, so the transaction was not committed"}
}

func seconds(n float64) string { return strconv.FormatFloat(n, 'g', 6, 64) + " s" }

// nameLimit adds to the error of a cancelled statement what ended it: to the server each request to
// cancel is a user's. The outcome that a wait at the end of the operation has kept is named already.
func (s *Session) nameLimit(fault *wire.Fault) {
	if fault == nil || fault.Kind != "" || fault.SQLState != wire.StateQueryCanceled ||
		s.op.phase == phaseCancel || s.op.phase == phaseTrail {
		return
	}
	limit := ""
	switch s.op.cause {
	case causeTimeout:
		limit = s.timeoutText()
	case causeClock:
		limit = fmt.Sprintf("statement_timeout_secs=%s, kept by the client's clock", seconds(float64(s.pool.Config().StatementMS)/1000))
	}
	switch {
	case fault.Message == serverTimeout:
		fault.Message += " (the setting statement_timeout)"
	case limit == "" && fault.Message != serverCancelled:
	case limit == "" && s.op.cause == causeNone:
		fault.Message += " (by another session, as with pg_cancel_backend)"
	case limit == "":
		fault.Message += " (an interrupt, a cancelled task, or finalize_db() in another thread)"
	case fault.Message == serverCancelled:
		fault.Message = "canceling statement due to " + limit
	default:
		fault.Message += " (" + limit + ")"
	}
}

// explainLate completes the fault of an operation that was abandoned because the caller's timeout= had
// passed and the server did not answer the request to cancel.
func (s *Session) explainLate(fault *wire.Fault) {
	if fault.Kind != wire.KindConnectionLost {
		return
	}
	fault.Message = fmt.Sprintf("the connection to the server was lost: the statement did not end within %s, "+
		"nor when it was cancelled then, so its connection was closed", s.timeoutText())
	if s.tx.lost {
		fault.Message += "; the transaction is lost with it"
	}
}

// incompleteFault is for rows that stopped before its last row, though the server reported no
// error.
func (o *many) incompleteFault(s *Session) *wire.Fault {
	if s.op.cancelled {
		return &wire.Fault{SQLState: wire.StateQueryCanceled, Message: s.manyName() + " was cancelled before its last row"}
	}
	return &wire.Fault{Kind: wire.KindOperational, Message: "the rows were not completed"}
}

// undoLimit bounds the wait for an answer that changes little: where a rollback is not answered, the
// server does it when its connection ends, and a probe can be repeated on another connection.
const undoLimit = 5 * time.Second

// ioLimit is how long the I/O that begins may take, in milliseconds, 0 for no limit. Statements have the
// caller's timeout= or statement_timeout; what ends a transaction has a limit of its own, since it is sent
// where the caller can give none. No request to cancel follows it: a COMMIT that waits for a standby would
// succeed by that without the standby.
func (s *Session) ioLimit() int32 {
	switch s.op.phase {
	case phaseAsk:
		return writtenWaitMS
	case phaseReplay:
		return replayLookMS + writtenWaitMS
	}
	if s.op.timeout >= 0 && !s.endsTransaction() {
		return 0
	}
	switch s.op.phase {
	case phaseVerdict, phaseStreamEnd, phaseScriptEnd:
		if s.op.commits {
			limit, _ := s.commitLimit()
			return limit
		}
	case phaseProbe:
		if left := s.acquireLeft(); left >= 0 {
			return int32(max(1, min(left/2, undoLimit.Milliseconds())))
		}
	case phaseUndo, phaseFarewell, phaseCopyEnd, phaseCopyUndo:
	default:
		return 0
	}
	return int32(undoLimit.Milliseconds())
}

// endsTransaction returns whether the operation's timeout bounds a COMMIT alone.
func (s *Session) endsTransaction() bool {
	return s.op.op == abi.OpCommit || s.op.op == abi.OpLeave || s.op.op == abi.OpFinalize
}

// commitLimit is how long a COMMIT may take in milliseconds, 0 for no limit, and what that comes from.
func (s *Session) commitLimit() (limit int32, name string) {
	limit = int32(min(s.pool.Config().CommitMS, math.MaxInt32))
	name = "commit_timeout_secs=" + seconds(float64(limit)/1000)
	if !s.op.byDeadline {
		return limit, name
	}
	left := max(1, int32(min(math.Ceil(s.op.timeout*1000), math.MaxInt32)))
	if limit == 0 || left < limit {
		return left, s.timeoutText()
	}
	return limit, name
}

// unanswered is why a connection is lost whose I/O has reached its limit.
func (s *Session) unanswered() string {
	if s.op.commits {
		_, limit := s.commitLimit()
		return fmt.Sprintf("COMMIT was not answered within %s, so that it is not known whether it has committed", limit)
	}
	if s.op.phase == phaseProbe {
		return "it did not answer a probe in time" // another connection is used
	}
	return fmt.Sprintf("a rollback was not answered within %s; the server rolls back when the connection ends",
		seconds(undoLimit.Seconds()))
}
