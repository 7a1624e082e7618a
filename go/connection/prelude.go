package connection

import (
	"time"

	"hypern/go/process"
	"hypern/go/wire"
)

// prelude is what precedes the next statement on a connection: the reset of what the request before has set.
// It is sent in one of two forms. Ahead of a statement, in one write with it, it is a series of prepared
// commands. By itself it is one simple Query, whose answer comes before that of whatever is sent next.
type prelude struct {
	state   resetState
	since   process.Moment // resetPending: since when
	script  *resetScript   // resetSent and resetFollowed: what was sent; nil: a rollback alone
	ran     int            // how many of its commands the server has completed
	refusal *wire.Fault    // resetFailing and resetFailed: why
	repairs int            // resets in a row that replaced a failed one
}

// resetState is where the reset stands.
type resetState struct {
	phase resetPhase
	left  int // see the phases
}

type resetPhase uint8

const (
	resetNone     resetPhase = iota // nothing to do, or not decided: the holder is using the connection
	resetPending                    // left to whoever sends next: what the request before has set is still there
	resetAhead                      // sent ahead of a statement: the answers to `left` commands are to come
	resetSent                       // sent by itself: `left` ReadyForQuery are to come, which Settle reads
	resetFollowed                   // as resetSent, but the holder reads them, ahead of its next answer
	resetFailing                    // the server has refused a command: `left` ReadyForQuery are to come
	resetFailed                     // refused, and all answers are in: another is to be sent (Repair)
)

type resetEvent uint8

const (
	onDefer     resetEvent = iota // the holder has left the reset to whoever sends next
	onSendAhead                   // n commands precede a statement
	onSend                        // sent by itself, with n ReadyForQuery as its answer
	onFollow                      // the holder sends the next statement before the answer is in
	onLeave                       // the holder has sent nothing after all: Settle reads the answer
	onCommand                     // the server has completed a command
	onRefusal                     // the server has refused one, or the reset was found not to be enough
	onReady                       // a ReadyForQuery
)

// on is the state after an event. ok is false where the event is impossible: the connection is of no more use.
func (s resetState) on(ev resetEvent, n int) (next resetState, ok bool) {
	switch ev {
	case onDefer:
		return resetState{phase: resetPending}, s.phase == resetNone || s.phase == resetPending
	case onSendAhead:
		return resetState{resetAhead, n}, s.phase == resetPending
	case onSend:
		return resetState{resetSent, s.answers() + n}, s.phase != resetAhead && s.phase != resetFailing
	case onFollow:
		return resetState{resetFollowed, s.left}, s.phase == resetSent
	case onLeave:
		if s.phase == resetFollowed {
			s.phase = resetSent
		}
		return s, true
	case onCommand:
		if s.phase == resetAhead {
			if s.left--; s.left == 0 {
				s.phase = resetNone
			}
		}
		return s, true
	case onRefusal:
		switch s.phase {
		case resetAhead: // the server skips the rest and the statement
			return resetState{resetFailing, 1}, true
		case resetSent, resetFollowed, resetFailing:
			return resetState{resetFailing, s.left}, true
		}
	case onReady:
		if s.answers() == 0 {
			break
		}
		if s.left--; s.left == 0 && s.phase == resetFailing {
			s.phase = resetFailed
		} else if s.left == 0 {
			s.phase = resetNone
		}
		return s, true
	}
	return s, false
}

// answers is how many ReadyForQuery are to come for the reset alone.
func (s resetState) answers() int {
	switch s.phase {
	case resetSent, resetFollowed, resetFailing:
		return s.left
	}
	return 0
}

// note moves the reset's state on. An impossible event breaks the connection.
func (c *Conn) note(ev resetEvent, n int) {
	next, ok := c.prelude.state.on(ev, n)
	if !ok {
		c.broken = true
		return
	}
	c.prelude.state = next
}

// Unreset reports whether the reset is pending: what the request before has set is still there.
func (c *Conn) Unreset() bool { return c.prelude.state.phase == resetPending }

// UnresetFor is how long a pending reset has been pending.
func (c *Conn) UnresetFor(now process.Moment) time.Duration { return now.Sub(c.prelude.since) }

// ResetPrecedes reports whether a reset was sent whose answer comes ahead of the holder's next one.
func (c *Conn) ResetPrecedes() bool {
	switch c.prelude.state.phase {
	case resetAhead, resetFollowed, resetFailing:
		return true
	}
	return false
}

// AnswersAhead is how many ReadyForQuery come ahead of that of the holder's next statement.
func (c *Conn) AnswersAhead() int {
	if c.prelude.state.phase == resetSent { // behind what the holder has sent, or Settle reads them
		return 0
	}
	return c.prelude.state.answers()
}

// ResetSent reports whether the answer to a reset that was sent by itself is still to come.
func (c *Conn) ResetSent() bool { return c.prelude.state.answers() > 0 }

// CanDefer reports whether AppendResetAhead resets all that can have been set here.
func (c *Conn) CanDefer() bool {
	phase := c.prelude.state.phase
	return (phase == resetNone || phase == resetPending) && c.resetMode == ResetFull && c.cache == CacheNamed &&
		!c.prepared && !c.unseen && !c.Reauthorized() && !c.Rezoned()
}

// Defer follows a holder that leaves the reset to whoever sends next.
func (c *Conn) Defer(now process.Moment) {
	c.statements.reset(c.dialer.refusals.steps.Load()) // it precedes whatever is sent next
	if !c.Unreset() {                                  // else the holders since have sent nothing
		c.prelude.since = now
	}
	c.note(onDefer, 0)
	c.fresh = false
}

// AppendResetAhead appends the pending reset, for a statement to follow in the same unit: should the reset
// fail, the server skips the statement; should the statement fail, the reset has been committed.
func (c *Conn) AppendResetAhead(dst []byte) []byte {
	refused := c.dialer.refusals.steps.Load()
	dst = c.statements.prepareReset(dst, refused, c.baseline.sql)
	commands := &c.statements.resetCommands
	c.prelude.script = nil
	c.note(onSendAhead, len(commands.texts))
	c.statements.reset(refused)
	return append(dst, commands.run...)
}

// AppendBegin appends BEGIN by the name it has among the commands of AppendResetAhead; false if there is
// none. It saves 2 us of a transaction. Should the name be gone, nothing that follows has run.
func (c *Conn) AppendBegin(dst []byte) ([]byte, bool) {
	commands := &c.statements.resetCommands
	if commands.run == nil {
		return dst, false
	}
	return append(dst, commands.run[:commands.begin]...), true
}

// AppendReset appends what the connection needs before it serves someone else: a rollback, and the
// undoing of everything a session can set. Its answer ends with one ReadyForQuery, two where it looks for
// prepared statements. It follows a Sync or a Query.
func (c *Conn) AppendReset(dst []byte, rollback, clean bool) []byte {
	c.prelude.script, c.prelude.ran = nil, 0
	if rollback {
		c.statements.rolledBack()
	}
	if !clean {
		c.note(onSend, 1)
		return wire.AppendQuery(dst, "ROLLBACK")
	}
	script := c.script(rollback)
	c.prelude.script = script
	if script.forgets {
		c.statements.Clear()
	}
	c.statements.reset(c.dialer.refusals.steps.Load())
	c.prepared, c.unseen = false, false
	dst = wire.AppendQuery(dst, script.text)
	if !script.looks {
		c.note(onSend, 1)
		return dst
	}
	c.note(onSend, 2)
	return c.appendLook(dst)
}

// ResetNow sends the reset by itself. Where that cannot be sent at once, the connection is broken, and the
// result is false.
func (c *Conn) ResetNow() bool {
	sent := c.SendWhole(c.AppendReset(nil, c.tx != 'I', true))
	if !sent {
		c.Break()
	}
	return sent
}

// Follow lets the holder send before the answer to the reset is in. It is read ahead of the next answer.
func (c *Conn) Follow() { c.note(onFollow, 0) }

// CanFollow reports whether the answer to the reset is all that is missing, none of it having arrived: then
// what is sent next can be answered behind it. An answer that is overdue may never come, and is waited for.
func (c *Conn) CanFollow() bool {
	return !c.broken && c.prelude.state.phase == resetSent && process.Now().Sub(c.givenBack) < DueTime &&
		len(c.inbuf) == 0 && !c.Rezoned() && c.killed.Load() == nil
}

// CollectReset takes the frames of a reset that precedes the holder's statement off the front of ctl. ok is
// false if the statement has not run because of it, see Refused. One that was sent behind a reset by itself
// has run even so, and is known to have to be undone by its ReadyForQuery.
func (c *Conn) CollectReset(ctl []byte) (rest []byte, ok bool) {
	ahead := c.prelude.state.phase == resetAhead
	for c.ResetPrecedes() && !c.broken {
		f, after, whole, err := wire.Next(ctl)
		if err != nil {
			c.broken = true
		}
		if !whole {
			break
		}
		c.takeFrame(f)
		ctl = after
	}
	if !ahead {
		return ctl, !c.broken
	}
	if c.prelude.state.phase == resetFailing { // it has ended behind the error
		c.broken = true
	}
	return ctl, !c.broken && c.prelude.state.phase != resetFailed
}

// refused follows an error in the answer to a reset, or what shows that it was not enough; its ReadyForQuery is
// still to come.
func (c *Conn) refused(fault *wire.Fault) {
	p := &c.prelude
	if p.state.phase == resetFailing {
		return // the first error counts
	}
	command := ""
	switch {
	case p.state.phase == resetAhead:
		texts := c.statements.resetCommands.texts
		command = texts[len(texts)-p.state.left]
	case p.script != nil && p.ran < len(p.script.commands):
		command = p.script.commands[p.ran]
	}
	p.refusal = fault
	c.note(onRefusal, 0)
	c.dialer.refusals.note(command, fault)
}

// Refused reports whether the server has refused a reset and Repair can send another.
func (c *Conn) Refused() bool {
	return c.prelude.state.phase == resetFailed && !c.broken && c.killed.Load() == nil
}

// Repair resets a connection anew whose reset has failed, without the steps that the server refuses.
// One that cannot be repaired is broken, and the result is false.
func (c *Conn) Repair() bool {
	p := &c.prelude
	if p.repairs++; p.repairs > repairsMax || c.resetMode != ResetFull {
		c.broken = true
		return false
	}
	if p.refusal.SQLState == wire.StateUndefinedStatement {
		c.prepared = true // DEALLOCATE ALL ran unseen, or some names are gone
	}
	if p.script != nil {
		c.prepared = c.prepared || p.script.forgets || p.script.looks
	}
	p.refusal = nil
	return c.ResetNow()
}
