package pool

import (
	"time"

	"hypern/go/process"
)

// tendInterval is how often idle connections are looked at where a setting asks for it.
const tendInterval = time.Second

// tends reports whether anything has to be looked after in the background.
func (p *Pool) tends() bool {
	c := p.config
	return c.IdleMS > 0 || c.LifetimeMS > 0 || c.MinIdle > 0
}

// tend starts the timer that looks after idle connections; it runs only while the pool has or wants
// connections. Called with mu held.
func (p *Pool) tend() {
	if p.reaper != nil || p.closed || !p.tends() {
		return
	}
	every := tendInterval
	for _, limit := range []int64{p.config.IdleMS, p.config.LifetimeMS} {
		if limit > 0 {
			every = min(every, max(millis(limit)/4, 10*time.Millisecond))
		}
	}
	p.reaper = time.AfterFunc(every, func() {
		process.Go(func() { p.retire(every) })
	})
	p.fill()
}

// fill dials up to min_idle idle connections, besides those for waiters. Called with mu held.
func (p *Pool) fill() {
	if p.config.MinIdle == 0 {
		return
	}
	for wanted := p.dialsWanted(); len(p.idle)+p.dialing-wanted < p.config.MinIdle && p.mayDial(); {
		p.startDial()
	}
}

// retire closes idle connections that are too old, or idle too long and more than min_idle.
func (p *Pool) retire(every time.Duration) {
	now := process.Now()
	var gone []*slot
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	kept := p.idle[:0]
	spare := len(p.idle) - p.config.MinIdle
	for _, c := range p.idle { // the longest idle come first
		idleTooLong := p.config.IdleMS > 0 && now.Sub(c.since) > millis(p.config.IdleMS) && spare > 0
		if expired := c.expired(now); idleTooLong || expired {
			if expired {
				p.counts.closedLifetime++
			} else {
				p.counts.closedIdle++
			}
			p.forget(c)
			gone = append(gone, c)
			spare--
			continue
		}
		kept = append(kept, c)
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.fill()
	p.reaper.Reset(every)
	p.mu.Unlock()
	for _, c := range gone {
		c.conn.Close()
	}
}

// Drain ends the time of every connection there is: idle ones are closed, those in use as they come back.
func (p *Pool) Drain() {
	if p.replica != nil {
		p.replica.Drain()
	}
	now := process.Now()
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	for _, c := range p.all {
		c.expires = now
	}
	for _, c := range idle {
		p.forget(c)
	}
	p.counts.closedLifetime += int64(len(idle))
	if !p.closed {
		p.fill()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.conn.Close()
	}
}
