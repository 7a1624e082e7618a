package pool

import (
	"time"

	"hypern/go/connection"
	"hypern/go/process"
)

const (
	// busyGap is how soon connections have to be wanted again for a reset to be deferred: sent by
	// itself it costs the client a system call and the server a wake-up, ahead of a statement neither.
	// It gains 1.16 on queries straight from the pool.
	busyGap = time.Millisecond
	// deferMax is about how long a deferred reset may wait for a statement that it precedes.
	deferMax = 2 * time.Millisecond
)

// deferral sees to it that connections which were passed on without their reset are reset in time.
type deferral struct {
	busy  bool        // the last idle connection that was taken had been idle for less than busyGap
	timer *time.Timer // runs while a connection has its passedOn
}

// Defers reports whether PassOn would accept a connection.
func (p *Pool) Defers(conn *connection.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.all[conn]
	return c != nil && p.defers(c, process.Now())
}

// defers: called with mu held, by c's holder.
func (p *Pool) defers(c *slot, now process.Moment) bool {
	overdue := c.conn.Unreset() && c.conn.UnresetFor(now) > deferMax
	return (len(p.queue) > 0 || p.deferral.busy) && !overdue && !p.config.TestOnAcquire &&
		c.conn.CanDefer() && p.keeps(c, now)
}

// PassOn gives a held connection back without the reset it needs: to the first in the queue or, where
// connections are soon wanted again, to the idle ones. Whoever sends a statement next sends the reset
// ahead of it, in one write; if nobody does for a moment (deferMax), the pool sends it. The result is false if
// the connection still belongs to its holder.
func (p *Pool) PassOn(conn *connection.Conn) bool {
	now := process.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.all[conn]
	if c == nil || !p.defers(c, now) {
		return false
	}
	conn.Defer(now)
	c.passedOn = now
	if p.deferral.timer == nil {
		p.deferral.timer = time.AfterFunc(deferMax, p.resetDeferred)
	}
	if len(p.queue) == 0 {
		p.rest(c, now)
	} else {
		p.give(c, now)
	}
	return true
}

// resetDeferred resets what has been waiting for a statement, wherever it is: idle, granted to a waiter
// that has not come yet, or held by someone who has sent nothing.
func (p *Pool) resetDeferred() {
	defer process.Recover()
	for _, h := range p.resetOwn() {
		h.ResetDeferred()
	}
}

// resetOwn resets the connections that nobody holds, and returns the holders of the others.
func (p *Pool) resetOwn() []Holder {
	var holders []Holder
	now := process.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	more := false
	for _, c := range p.all {
		if c.passedOn == 0 || now.Sub(c.passedOn) < deferMax {
			more = more || c.passedOn != 0
			continue
		}
		c.passedOn = 0
		switch {
		case c.holder != nil && c.waiter == nil:
			holders = append(holders, c.holder)
		case c.conn.Unreset():
			c.conn.ResetNow()
		}
	}
	if p.deferral.timer = nil; more && !p.closed {
		p.deferral.timer = time.AfterFunc(deferMax, p.resetDeferred)
	}
	return holders
}
