package session

import (
	"testing"

	"hypern/go/abi"
)

// The states a session can be in, by what they look like to its user.
var (
	idle       = tx{}
	connected  = tx{server: 'I'}
	owed       = tx{server: 'I', owed: true}
	open       = tx{server: 'T'}
	abortedTx  = tx{server: 'E'}
	lostTx     = tx{lost: true}
	committed  = tx{server: 'I', verdict: abi.StateCommitted}
	rolledBack = tx{server: 'I', verdict: abi.StateRolledBack}
	closed     = tx{closed: true}
)

func TestTransitions(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   tx
		event  event
		status byte
		to     tx
	}{
		{"a connection for an idle session", idle, evAcquired, 0, connected},
		{"a statement outside a transaction", connected, evReady, 'I', connected},
		{"begin()", connected, evBegin, 0, owed},
		{"begin() after a commit forgets the verdict", committed, evBegin, 0, owed},
		{"the first statement sends BEGIN", owed, evReady, 'T', open},
		{"the first statement fails", owed, evReady, 'E', abortedTx},
		{"BEGIN itself fails", owed, evReady, 'I', connected},
		{"commit() of what was never sent", owed, evCommitted, 0, committed},
		{"rollback() of what was never sent", owed, evRolledBack, 0, rolledBack},
		{"a statement in a transaction", open, evReady, 'T', open},
		{"a failing statement in a transaction", open, evReady, 'E', abortedTx},
		{"ROLLBACK TO a savepoint", abortedTx, evReady, 'T', open},
		{"raw BEGIN", connected, evReady, 'T', open},
		{"raw BEGIN after a commit forgets the verdict", committed, evReady, 'T', open},
		{"a statement after a commit keeps the verdict", committed, evReady, 'I', committed},
		{"a statement after a rollback keeps the verdict", rolledBack, evReady, 'I', rolledBack},
		{"the connection is lost at rest", connected, evLost, 0, idle},
		{"the connection is lost after a commit", committed, evLost, 0, tx{verdict: abi.StateCommitted}},
		{"the connection is lost before BEGIN was sent", owed, evLost, 0, lostTx},
		{"the connection is lost in a transaction", open, evLost, 0, lostTx},
		{"the connection is lost in an aborted transaction", abortedTx, evLost, 0, lostTx},
		{"rollback() of a lost transaction", lostTx, evRolledBack, 0, tx{verdict: abi.StateRolledBack}},
		{"release at rest", connected, evReleased, 0, idle},
		{"release after a commit", committed, evReleased, 0, tx{verdict: abi.StateCommitted}},
		{"finalize", committed, evClosed, 0, closed},
		{"finalize of a lost transaction", lostTx, evClosed, 0, closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if to := c.from.transition(c.event, c.status); to != c.to {
				t.Errorf("%+v, and not %+v", to, c.to)
			}
		})
	}
}

func TestStatesWordsAndFlags(t *testing.T) {
	for _, c := range []struct {
		state           tx
		word            string
		active, aborted bool
	}{
		{idle, "idle", false, false},
		{connected, "connected", false, false},
		{owed, "in_transaction", true, false},
		{open, "in_transaction", true, false},
		{abortedTx, "in_transaction", true, true},
		{lostTx, "in_transaction", true, true},
		{committed, "committed", false, false},
		{rolledBack, "rolled_back", false, false},
		{tx{verdict: abi.StateCommitted}, "committed", false, false},
		{closed, "closed", false, false},
	} {
		if word := c.state.state().String(); word != c.word {
			t.Errorf("%+v is %q, and not %q", c.state, word, c.word)
		}
		if c.state.active() != c.active || c.state.aborted() != c.aborted {
			t.Errorf("%+v: active %t, aborted %t", c.state, c.state.active(), c.state.aborted())
		}
	}
}
