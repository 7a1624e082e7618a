package session

// givingBack gives the connection back in the middle of a request, reset as at its end. The session stays open:
// its next statement takes a connection, which may be another one.
type givingBack struct{}

func (o givingBack) start(s *Session, c *Call) {
	switch {
	case len(s.blocks) > 0:
		c.fail(interfaceFault("release() inside the transaction() block entered at %s; leave the block first",
			s.blocks[len(s.blocks)-1].place))
	case s.tx.lost:
		c.fail(s.lostFault())
	case s.tx.active():
		c.fail(interfaceFault("release() inside a transaction; call commit() or rollback() first"))
	case s.conn == nil || s.nests():
		c.done(0)
	case s.undo(c, false, (s.used || s.conn.Unreset()) && s.conn.Resets()):
		o.resume(s, c)
	}
}

func (o givingBack) resume(s *Session, c *Call) {
	s.release()
	c.done(0)
}
