package session

import "hypern/go/abi"

// event is what changes the state of a session.
type event int

const (
	evAcquired   event = iota // a connection, in status 'I'
	evBegin                   // begin() was called; nothing is sent yet
	evReady                   // the server said ReadyForQuery
	evCommitted               // a COMMIT succeeded, or there was nothing to commit
	evRolledBack              // a ROLLBACK succeeded, or there was nothing to roll back
	evLost                    // the connection is gone
	evReleased                // the connection went back to the pool
	evClosed                  // finalized
)

// tx is the state of a session. Its inputs are the server's last ReadyForQuery status, a BEGIN of
// ours that is not sent yet, and the last verdict.
type tx struct {
	server  byte      // 'I', 'T', 'E' as the server said; 0 without a connection
	owed    bool      // begin() was called, BEGIN not sent
	lost    bool      // a transaction went with its connection; nobody has rolled back since
	verdict abi.State // StateCommitted or StateRolledBack after the last transaction, else 0
	closed  bool
}

// transition is the only place that changes a session's state.
func (t tx) transition(e event, status byte) tx {
	switch e {
	case evAcquired:
		t.server = 'I'
	case evBegin:
		t.owed, t.verdict = true, 0
	case evReady:
		if status != 'I' {
			t.verdict = 0
		}
		t.server, t.owed = status, false
	case evCommitted:
		t.owed, t.verdict = false, abi.StateCommitted
	case evRolledBack:
		t.owed, t.lost, t.verdict = false, false, abi.StateRolledBack
	case evLost:
		t.lost = t.lost || t.owed || t.server == 'T' || t.server == 'E'
		t.server, t.owed = 0, false
	case evReleased:
		t.server = 0
	case evClosed:
		t = tx{closed: true}
	}
	return t
}

// active tells whether a transaction is open, sent or owed, aborted or lost.
func (t tx) active() bool { return t.owed || t.lost || t.server == 'T' || t.server == 'E' }

// aborted tells whether the open transaction can only be rolled back.
func (t tx) aborted() bool { return t.lost || t.server == 'E' }

// state is the specification's word for it.
func (t tx) state() abi.State {
	switch {
	case t.closed:
		return abi.StateClosed
	case t.active():
		return abi.StateInTransaction
	case t.verdict != 0:
		return t.verdict
	case t.server != 0:
		return abi.StateConnected
	}
	return abi.StateIdle
}
