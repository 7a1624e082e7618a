package pool

import "hypern/go/process"

// abandon closes a connection in the background whose statement, or whose request to cancel, is still
// under way: a pooler forwards the request as long as its client is connected, and the server needs
// someone who reads what it sends to notice it. Until the server has let go of the connection, or its time is
// over, it counts as one of the pool's. Called with mu held; c has no holder.
func (p *Pool) abandon(c *slot) {
	c.conn.Break()
	c.abandoned, c.passedOn = true, 0
	p.abandoned++
	p.winding.Add(1)
	process.Go(func() {
		defer p.winding.Done()
		c.conn.WindUp(p.ctx)
		defer c.conn.AwaitCancels()
		p.mu.Lock()
		p.abandoned--
		p.forget(c)
		if !p.closed {
			p.serve()
		}
		p.mu.Unlock()
		c.conn.Close()
	})
}
