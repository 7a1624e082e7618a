package pool

import (
	"context"
	"time"
)

const (
	// graceLeast and graceMost bound how late a caller with a deadline may have the outcome; in between it
	// is graceTrips round trips, which is what connecting, cancelling and the answer take.
	graceLeast = 250 * time.Millisecond
	graceMost  = time.Second
	graceTrips = 8
	// abandonTime bounds how long an abandoned connection stays open, and with it its place in the pool:
	// a server that can be reached has cancelled its statement by then, and one that cannot must not keep
	// the next caller from another connection.
	abandonTime = 750 * time.Millisecond
	abandonLook = 20 * time.Millisecond
	// closeTime bounds how long a request to cancel of an abandoned connection keeps Close.
	closeTime   = 250 * time.Millisecond
	cancelLooks = 15 // until a request to cancel that had no effect is repeated
	// drainMax is how much is read in one look, so that a stream without an end keeps no goroutine busy.
	drainMax = 4 << 20
)

// grace is what a connection with this round trip has, in milliseconds, to answer a request to cancel
// that follows a deadline. A fifth of the time is left for what the caller does with the outcome.
func grace(trip time.Duration) int32 {
	total := min(max(graceTrips*trip, graceLeast), graceMost)
	return int32((total * 4 / 5).Milliseconds())
}

// Abandon marks the connection as one whose cancelled statement may not have ended yet: Release then
// closes it in the background, when the server has let go of it.
func (c *Conn) Abandon() { c.broken, c.running = true, true }

// abandon closes a connection in the background whose statement, or whose request to cancel, is still
// under way: a pooler forwards the request as long as its client is connected, and the server needs
// someone who reads what it sends to notice it. Until the server has let go of the connection, or
// abandonTime is over, it counts as one of the pool's. Called with mu held; c has no holder.
func (p *Pool) abandon(c *Conn) {
	c.broken, c.abandoned, c.Unreset, c.passedAt = true, true, false, 0
	p.abandoned++
	p.winding.Add(1)
	Go(func() {
		defer p.winding.Done()
		c.windUp(p.ctx)
		defer c.awaitCancels()
		p.mu.Lock()
		p.abandoned--
		p.forget(c)
		if !p.closed {
			p.serve()
		}
		p.mu.Unlock()
		c.close()
	})
}

// windUp waits until the request to cancel has ended, says that nothing more will be sent, and waits for
// the server to do the same; what comes meanwhile is dropped. A request that arrived ahead of the statement
// had no effect, so it is repeated. ctx ends with the pool.
func (c *Conn) windUp(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, abandonTime)
	defer stop()
	ticker := time.NewTicker(abandonLook)
	defer ticker.Stop()
	buffer := make([]byte, 64<<10)
	for looks := 0; !c.drain(buffer); {
		if !c.Cancelling() {
			if looks == 0 {
				c.socket.EndWriting()
			}
			if looks++; looks%cancelLooks == 0 && c.running {
				c.Cancel(func() {})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// awaitCancels waits for requests to cancel that are still under way: when the pool is closed, perhaps
// because the process exits, they are what ends the statement on the server. Close ends one that gets no
// answer in closeTime.
func (c *Conn) awaitCancels() {
	for until := Now().Add(closeTime); c.Cancelling() && Now().Sub(until) < 0; {
		time.Sleep(abandonLook)
	}
}

// drain drops what has arrived, and tells whether that was the last of it.
func (c *Conn) drain(buffer []byte) bool {
	for total := 0; total < drainMax; {
		n, err := c.socket.Read(buffer)
		if err != nil {
			return !IsAgain(err)
		}
		total += n
	}
	return false
}
