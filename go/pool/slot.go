package pool

import (
	"math/rand/v2"
	"time"

	"hypern/go/connection"
	"hypern/go/process"
)

// slot is the place of one connection in the pool: idle, held, granted to a waiter or being closed. Guarded by the
// pool's mu.
type slot struct {
	conn      *connection.Conn
	since     process.Moment // when it became idle, or its holder got it
	expires   process.Moment // 0: never
	passedOn  process.Moment // when it was last passed on, until the pool has looked after its reset; else 0
	holder    Holder         // nil: nobody holds it
	waiter    *Waiter        // the one it was granted to, until that takes it
	abandoned bool           // it is being closed in the background
}

// Holder is who has a connection. The other methods are called without any lock of the pool held.
type Holder interface {
	// Request is the id of the holder's request. It is called under the pool's lock, and takes none.
	Request() string
	Describe() HolderInfo
	// ResetDeferred resets the connection if its reset is still pending and nothing is under way on it.
	ResetDeferred()
}

// HolderInfo describes a holder, for messages and status.
type HolderInfo struct {
	RequestID string  `json:"request_id"`
	Alias     string  `json:"alias"`
	Label     string  `json:"label,omitempty"` // of the request's scope
	AgeSecs   float64 `json:"age_secs"`
	SQL       string  `json:"sql,omitempty"` // the last statement, without parameters
	State     string  `json:"state"`
}

// add gives a new connection its place. Called with mu held.
func (p *Pool) add(conn *connection.Conn, now process.Moment) *slot {
	c := &slot{conn: conn, since: now}
	if life := millis(p.config.LifetimeMS); life > 0 {
		// Jitter, so that connections made together do not end together.
		c.expires = now.Add(life - time.Duration(rand.Int64N(int64(life)/10+1)))
	}
	p.all[conn] = c
	return c
}

// forget takes a connection's place away; the caller closes it. Called with mu held.
func (p *Pool) forget(c *slot) { delete(p.all, c.conn) }

// rest makes a connection idle. Called with mu held.
func (p *Pool) rest(c *slot, now process.Moment) {
	c.holder, c.since = nil, now
	c.conn.GivenBack(now)
	p.idle = append(p.idle, c)
}

// popIdle takes the connection that became idle last. Called with mu held.
func (p *Pool) popIdle() *slot {
	n := len(p.idle) - 1
	c := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return c
}

// hold makes holder the connection's holder. Called with mu held.
func (c *slot) hold(holder Holder, now process.Moment) {
	c.holder, c.since = holder, now
	c.conn.Taken(now)
}

// expired reports whether the connection has had its time.
func (c *slot) expired(now process.Moment) bool { return c.expires != 0 && now >= c.expires }

// keeps reports whether the connection can serve another request. Called with mu held.
func (p *Pool) keeps(c *slot, now process.Moment) bool {
	return c.conn.Sound() && !p.closed && !c.expired(now)
}
