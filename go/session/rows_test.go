package session

import (
	"testing"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

func TestARowThatHasEndedTheTransactionIsJudgedByItsTag(t *testing.T) {
	for tag, want := range map[string]abi.State{"COMMIT": abi.StateCommitted, "ROLLBACK": abi.StateRolledBack} {
		s := &Session{conn: &connection.Conn{}, tx: tx{server: 'T'}}
		o := &many{preparation: preparation{fresh: true}}
		s.op = operation{op: abi.OpMany, phase: phaseRows}
		s.op.prefix, s.op.got = 1, answer{last: tag, commands: 2, binds: 3, status: 'I',
			fault: &wire.Fault{SQLState: wire.StateNoActiveTransaction, Severity: "ERROR"}}
		c := &Call{}
		o.ran(s, c)
		if c.Want != abi.WantFail || s.tx.state() != want || !s.op.hooks.known || s.op.hooks.due != (tag == "COMMIT") {
			t.Errorf("%s: want %v, state %v, functions %+v", tag, c.Want, s.tx.state(), s.op.hooks)
		}
	}
}
