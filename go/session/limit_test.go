package session

import (
	"testing"

	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/wire"
)

func TestTheErrorOfACancelledStatementNamesWhatEndedIt(t *testing.T) {
	p, fault := pool.New(&pool.Config{Alias: "a", Settings: connection.Settings{
		ConnInfo: map[string]string{"host": "/nowhere"}, StatementMS: 1500,
	}}, &pool.Attendant{})
	if fault != nil {
		t.Fatal(fault)
	}
	cancelled := func(message string) *wire.Fault {
		return &wire.Fault{SQLState: wire.StateQueryCanceled, Message: message}
	}
	const german = "storniere Anfrage wegen Benutzeraufforderung"
	for _, c := range []struct {
		fault *wire.Fault
		cause cause
		phase phase
		want  string
	}{
		{cancelled(serverCancelled), causeTimeout, phaseExecute, "canceling statement due to timeout=0.25 s"},
		{cancelled(german), causeTimeout, phaseExecute, german + " (timeout=0.25 s)"},
		{cancelled(serverTimeout), causeTimeout, phaseExecute, serverTimeout + " (the setting statement_timeout)"},
		{cancelled(serverTimeout), causeNone, phaseRows, serverTimeout + " (the setting statement_timeout)"},
		{cancelled(serverCancelled), causeClock, phaseExecute,
			"canceling statement due to statement_timeout_secs=1.5 s, kept by the client's clock"},
		{cancelled(serverCancelled), causeNone, phaseExecute,
			serverCancelled + " (by another session, as with pg_cancel_backend)"},
		{cancelled(serverCancelled), causeCaller, phaseVerdict,
			serverCancelled + " (an interrupt, a cancelled task, or finalize_db() in another thread)"},
		{cancelled(german), causeNone, phaseExecute, german},
		{cancelled("cancelled before the statement was sent"), causeTimeout, phaseEncode,
			"cancelled before the statement was sent (timeout=0.25 s)"},
		{cancelled(serverCancelled), causeTimeout, phaseCancel, serverCancelled}, // named before it was kept
		{&wire.Fault{SQLState: "22012", Message: "division by zero"}, causeTimeout, phaseExecute, "division by zero"},
		{&wire.Fault{Kind: wire.KindOperational, SQLState: wire.StateQueryCanceled, Message: "ours"}, causeTimeout, phaseExecute, "ours"},
	} {
		s := &Session{pool: p}
		s.op.cause, s.op.phase, s.op.timeout = c.cause, c.phase, 0.25
		s.nameLimit(c.fault)
		if c.fault.Message != c.want {
			t.Errorf("%q, and not %q", c.fault.Message, c.want)
		}
	}
	(&Session{pool: p}).nameLimit(nil) // of an operation that succeeded
}
