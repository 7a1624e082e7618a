package pool

import (
	"time"

	"hypern/go/abi"
)

const (
	// briskGap is how soon connections have to be asked for again for a reset to be deferred: sent by
	// itself it costs the client a system call and the server a wake-up, ahead of a statement neither.
	briskGap = time.Millisecond
	// deferMax is about how long a deferred reset may wait for a statement to travel with.
	deferMax = 2 * time.Millisecond
)

// deferral sees to it that connections which were passed on without their reset are reset in time.
type deferral struct {
	brisk bool        // the last idle connection that was taken had been idle for less than briskGap
	timer *time.Timer // runs while a connection has its passedAt
}

// Defers tells whether PassOn would take a connection.
func (p *Pool) Defers(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.defers(c, Now())
}

// defers: called with mu held, by c's holder.
func (p *Pool) defers(c *Conn, now Moment) bool {
	overdue := c.Unreset && now.Sub(c.leftAt) > deferMax
	return (len(p.queue) > 0 || p.deferral.brisk) && !overdue && !p.config.TestOnAcquire &&
		c.Undoable() && p.keeps(c, now)
}

// PassOn gives a held connection back without the reset it needs: to the first in the queue or, where
// connections are soon asked for again, to the idle ones. Whoever sends a statement next sends the reset
// ahead of it, in one write; if nobody does for a moment (deferMax), the pool sends it. passed false: c
// is still its holder's.
//
// home is who makes this call, as hn_call has it. A waiter of the same event loop, or a thread's, is told
// by the caller, who needs no wake-up for it: woke is his descriptor, else -1.
func (p *Pool) PassOn(c *Conn, home uint64) (passed bool, woke int) {
	now := Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.defers(c, now) {
		return false, -1
	}
	c.Statements.reset(p.refusals.steps.Load()) // it precedes whatever is sent next
	if !c.Unreset {                             // else those who have passed it on since have sent nothing
		c.leftAt = now
	}
	c.Unreset, c.Fresh = true, false
	c.passedAt = now
	if p.deferral.timer == nil {
		p.deferral.timer = time.AfterFunc(deferMax, p.resetDeferred)
	}
	if len(p.queue) == 0 {
		c.holder, c.idleSince = nil, now
		p.idle = append(p.idle, c)
		return true, -1
	}
	w := p.grant(c, now)
	if home != abi.HomeNone && (w.home == home || w.home == abi.HomeThreads) {
		return true, w.FD()
	}
	w.event.Set()
	return true, -1
}

// resetDeferred resets what has been waiting for a statement, wherever it is: idle, granted to a waiter
// who has not come yet, or held by someone who has sent nothing.
func (p *Pool) resetDeferred() {
	defer recoverPoison()
	for _, h := range p.resetOwn() {
		h.ResetDeferred()
	}
}

// resetOwn resets those that nobody holds, and returns the holders of the others.
func (p *Pool) resetOwn() []Holder {
	var holders []Holder
	now := Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	more := false
	for c := range p.all {
		if c.passedAt == 0 || now.Sub(c.passedAt) < deferMax {
			more = more || c.passedAt != 0
			continue
		}
		c.passedAt = 0
		switch {
		case c.holder != nil && c.waiter == nil:
			holders = append(holders, c.holder)
		case c.Unreset:
			c.ResetNow()
		}
	}
	if p.deferral.timer = nil; more && !p.closed {
		p.deferral.timer = time.AfterFunc(deferMax, p.resetDeferred)
	}
	return holders
}
