package connection

import "testing"

func TestTheStatesOfAReset(t *testing.T) {
	const (
		none, pending, ahead, sent, followed, failing, failed = resetNone, resetPending, resetAhead, resetSent, resetFollowed, resetFailing, resetFailed

		impossible = resetPhase(255)
	)
	at := func(phase resetPhase, left int) resetState { return resetState{phase, left} }
	no := at(impossible, 0)
	for _, row := range []struct {
		from                                                             resetState
		deferred, sentAhead, sentAlone, follow, leave, command, no, done resetState
	}{
		// from           defer            sendAhead(9)  send(2)      follow           leave            command          refusal         ready
		{at(none, 0), at(pending, 0), no, at(sent, 2), no, at(none, 0), at(none, 0), no, no},
		{at(pending, 0), at(pending, 0), at(ahead, 9), at(sent, 2), no, at(pending, 0), at(pending, 0), no, no},
		{at(ahead, 9), no, no, no, no, at(ahead, 9), at(ahead, 8), at(failing, 1), no},
		{at(ahead, 1), no, no, no, no, at(ahead, 1), at(none, 0), at(failing, 1), no},
		{at(sent, 2), no, no, at(sent, 4), at(followed, 2), at(sent, 2), at(sent, 2), at(failing, 2), at(sent, 1)},
		{at(sent, 1), no, no, at(sent, 3), at(followed, 1), at(sent, 1), at(sent, 1), at(failing, 1), at(none, 0)},
		{at(followed, 2), no, no, at(sent, 4), no, at(sent, 2), at(followed, 2), at(failing, 2), at(followed, 1)},
		{at(followed, 1), no, no, at(sent, 3), no, at(sent, 1), at(followed, 1), at(failing, 1), at(none, 0)},
		{at(failing, 2), no, no, no, no, at(failing, 2), at(failing, 2), at(failing, 2), at(failing, 1)},
		{at(failing, 1), no, no, no, no, at(failing, 1), at(failing, 1), at(failing, 1), at(failed, 0)},
		{at(failed, 0), no, no, at(sent, 2), no, at(failed, 0), at(failed, 0), no, no},
	} {
		for event, want := range []resetState{
			onDefer: row.deferred, onSendAhead: row.sentAhead, onSend: row.sentAlone, onFollow: row.follow,
			onLeave: row.leave, onCommand: row.command, onRefusal: row.no, onReady: row.done,
		} {
			n := map[resetEvent]int{onSendAhead: 9, onSend: 2}[resetEvent(event)]
			next, ok := row.from.on(resetEvent(event), n)
			if !ok {
				next = no
			}
			if next != want {
				t.Errorf("%v, event %d: %v, not %v", row.from, event, next, want)
			}
		}
	}
}

func TestAnImpossibleEventBreaksTheConnection(t *testing.T) {
	c := &Conn{}
	if c.note(onLeave, 0); c.broken {
		t.Error("a holder that leaves without a reset under way")
	}
	if c.note(onReady, 0); !c.broken || c.prelude.state != (resetState{}) {
		t.Error("an answer to nothing")
	}
}
