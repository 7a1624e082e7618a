package pool

import (
	"time"

	"hypern/go/process"
)

// counts only ever grow, from the pool's making on. Guarded by the pool's mu.
type counts struct {
	acquired       int64
	waited         int64
	waitTime       time.Duration
	timeouts       int64
	connects       int64
	connectErrors  int64
	connectTime    time.Duration
	closedIdle     int64
	closedLifetime int64
	closedBroken   int64
}

// Counters are the counts as Python reads them.
type Counters struct {
	Acquired       int64   `json:"acquired"`        // connections handed out
	Waited         int64   `json:"waited"`          // callers that had to queue for one
	WaitSecs       float64 `json:"wait_secs"`       // how long those have queued that no longer do
	Timeouts       int64   `json:"timeouts"`        // of them, those that gave up at their deadline
	Connects       int64   `json:"connects"`        // connections made
	ConnectErrors  int64   `json:"connect_errors"`  // attempts to make one that failed
	ConnectSecs    float64 `json:"connect_secs"`    // how long making those connections has taken
	ClosedIdle     int64   `json:"closed_idle"`     // by idle_timeout_secs
	ClosedLifetime int64   `json:"closed_lifetime"` // by max_lifetime_secs, or drained
	ClosedBroken   int64   `json:"closed_broken"`   // ended by the server or the network, or unfit to be used again
}

// counters: called with mu held.
func (p *Pool) counters() Counters {
	c := p.counts
	return Counters{
		c.acquired, c.waited, c.waitTime.Seconds(), c.timeouts, c.connects, c.connectErrors, c.connectTime.Seconds(),
		c.closedIdle, c.closedLifetime, c.closedBroken,
	}
}

// dropped counts a connection that its holder gave back and that is closed instead of kept. Called with mu
// held.
func (p *Pool) dropped(c *slot, now process.Moment) {
	switch {
	case p.closed:
	case c.conn.Sound() && c.expired(now):
		p.counts.closedLifetime++
	default:
		p.counts.closedBroken++
	}
}

// left counts the end of a wait, whatever its outcome. Called with the pool's mu held.
func (w *Waiter) left() { w.pool.counts.waitTime += process.Now().Sub(w.since) }
