package pool

import (
	"time"

	"hypern/go/process"
)

// growth decides how many connections are dialed for waiters. While connections are in use, one of
// them may come back sooner than a dial takes: a burst of short requests would otherwise leave the pool
// with connections that nobody needed. So one is dialed at a time, and one for each waiter that has
// waited for longer than a dial usually takes, less those that will be served in that time if connections
// keep coming back as they do. Guarded by the pool's mu.
type growth struct {
	usual time.Duration // how long a dial takes, the latest ones above all; 0 before the first
	timer *time.Timer   // runs while a waiter has no dial because of this

	granted int // connections that waiters were given so far
}

// dialsWanted is how many dials there may be for waiters. Called with mu held.
func (p *Pool) dialsWanted() int {
	if len(p.queue) == 0 {
		return 0
	}
	if len(p.all) == 0 || p.growth.usual == 0 {
		return len(p.queue)
	}
	overdue, now := 0, process.Now()
	for _, w := range p.queue { // the oldest come first
		if now.Sub(w.since) < p.growth.usual {
			break
		}
		overdue++
	}
	if overdue < len(p.queue) && p.growth.timer == nil {
		left := p.growth.usual - now.Sub(p.queue[overdue].since)
		p.growth.timer = time.AfterFunc(left, func() { process.Go(p.grow) })
	}
	if first := p.queue[0]; overdue > 0 {
		came := float64(p.growth.granted - first.before) // while the first one waited
		overdue -= int(came * float64(p.growth.usual) / float64(now.Sub(first.since)))
	}
	return max(overdue, 1)
}

// grow dials for waiters that have waited for long enough.
func (p *Pool) grow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.growth.timer = nil
	if !p.closed {
		p.serve()
	}
}

// took notes how long a dial has taken. One that was held up counts as twice the usual time at most.
// Called with mu held.
func (g *growth) took(d time.Duration) {
	if g.usual == 0 {
		g.usual = d
		return
	}
	g.usual = (g.usual + min(d, 2*g.usual)) / 2
}

// end: called with mu held.
func (g *growth) end() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}
