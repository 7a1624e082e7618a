package connection

import (
	"slices"
	"time"

	"hypern/go/process"
	"hypern/go/wire"
)

// Settle looks at the socket without blocking, reads the answer to a reset and whatever the
// server has sent unasked. done is false while an answer is to come: wait for FD to become
// readable and call again. A connection that has ended is broken afterwards. A reset that was refused is
// repaired, and its answer is to come.
func (c *Conn) Settle() (done bool) {
	c.note(onLeave, 0)
	heard := 0
	for looked := false; !c.broken; {
		last, ok := c.readFrames()
		if !ok {
			c.broken = true
			break
		}
		if c.Refused() {
			c.Repair()
			continue
		}
		// What the server sends unasked can be its last message, and it may have gone since its answer:
		// then another look is needed.
		if looked && last == 'Z' && !c.ResetSent() && len(c.inbuf) == 0 && process.Now().Sub(c.givenBack) < warmTime {
			break
		}
		if len(c.inbuf) == cap(c.inbuf) {
			c.inbuf = slices.Grow(c.inbuf, inbufSize)
		}
		n, err := c.Read(c.inbuf[len(c.inbuf):cap(c.inbuf)])
		switch {
		case n > 0:
			c.inbuf, looked = c.inbuf[:len(c.inbuf)+n], true
			if heard += n; heard > unaskedMax { // the server may go on for ever
				c.broken = true
			}
		case IsAgain(err):
			return !c.ResetSent() && len(c.inbuf) == 0
		default:
			c.broken = true
		}
	}
	return true
}

// warmTime is a rest that needs no look at the socket. Should the server have gone away during it, its last
// message is taken for the failure of the reset that precedes the statement, which then runs on another
// connection.
const warmTime = 100 * time.Microsecond

// Warm reports whether the connection comes straight from its last use, its reset pending.
func (c *Conn) Warm() bool {
	return c.Unreset() && c.Usable() && len(c.inbuf) == 0 && c.UnresetFor(process.Now()) < warmTime
}

// Rested reports whether its holder has had the connection for so long that it may have ended meanwhile.
func (c *Conn) Rested() bool { return c.Held() >= warmTime }

// DueTime is how long an answer to come may keep the next holder from looking at the connection.
const DueTime = 100 * time.Millisecond

// readFrames takes the whole frames off inbuf, and returns the kind of the last one; ok is false if they are not
// PostgreSQL's.
func (c *Conn) readFrames() (last byte, ok bool) {
	rest := c.inbuf
	for {
		f, after, whole, err := wire.Next(rest)
		if err != nil {
			return last, false
		}
		if !whole {
			c.inbuf = c.inbuf[:copy(c.inbuf, rest)]
			return last, true
		}
		c.takeFrame(f)
		last, rest = f.Kind, after
	}
}

// takeFrame reads one frame outside a statement. An error here is one of a reset, which can be repaired,
// or the server's last message.
func (c *Conn) takeFrame(f wire.Frame) {
	switch f.Kind {
	case 'C':
		p := &c.prelude
		if p.state.phase == resetAhead {
			c.note(onCommand, 0)
		} else if c.ResetSent() && p.script != nil {
			if p.ran++; p.script.looks && p.ran == len(p.script.commands) && wire.ParseTag(f.Body).Rows > 0 {
				c.refused(&wire.Fault{Message: "prepared statements are left"})
			}
		}
	case 'E':
		fault := wire.ParseError(f.Body)
		if fault.Fatal() || c.prelude.state.phase != resetAhead && !c.ResetSent() {
			c.broken = true
			break
		}
		c.refused(fault)
	case 'S':
		c.TakeParameter(f.Body)
	case 'Z':
		if len(f.Body) != 1 {
			c.broken = true
			break
		}
		c.tx = f.Body[0]
		c.note(onReady, 0)
		if c.prelude.state.phase == resetNone {
			c.prelude.repairs = 0
		}
	}
}
