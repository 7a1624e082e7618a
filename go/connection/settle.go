package connection

import (
	"slices"
	"time"

	"hypern/go/process"
	"hypern/go/wire"
)

// Settle looks at the socket without blocking, collects the answers still owed and whatever the
// server said on its own. done is false while an answer is outstanding: wait for FD to become
// readable and call again. A connection that has ended comes back broken. A reset that was refused is
// repaired, and its answer is owed again.
func (c *Conn) Settle() (done bool) {
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
		// What the server says on its own can be its last word, and it may have gone since it answered:
		// then it takes another look.
		if looked && last == 'Z' && c.owed == 0 && len(c.inbuf) == 0 && process.Now().Sub(c.givenBack) < warmTime {
			break
		}
		if len(c.inbuf) == cap(c.inbuf) {
			c.inbuf = slices.Grow(c.inbuf, inbufSize)
		}
		n, err := c.Read(c.inbuf[len(c.inbuf):cap(c.inbuf)])
		switch {
		case n > 0:
			c.inbuf, looked = c.inbuf[:len(c.inbuf)+n], true
			if heard += n; heard > unaskedMax { // it may go on for ever, and this must not
				c.broken = true
			}
		case IsAgain(err):
			return c.owed == 0 && len(c.inbuf) == 0
		default:
			c.broken = true
		}
	}
	return true
}

// warmTime is a rest that needs no look at the socket. Should the server have gone away in it, its last
// words are taken for the failure of the reset that precedes the statement, which then runs elsewhere.
const warmTime = 100 * time.Microsecond

// Warm tells whether the connection comes straight from its last use, its reset still to be sent.
func (c *Conn) Warm() bool {
	return c.unreset && c.Usable() && len(c.inbuf) == 0 && process.Now().Sub(c.leftAt) < warmTime
}

// Rested tells whether its holder has had the connection for so long that it may have ended meanwhile.
func (c *Conn) Rested() bool { return c.Held() >= warmTime }

// DueTime is how long an answer owed may keep the next holder from looking at the connection.
const DueTime = 100 * time.Millisecond

// Quiet tells whether the answers owed are all that is missing, none of it having arrived: then what
// is sent next can be answered behind them. One that is overdue may never come, and is waited for.
func (c *Conn) Quiet() bool {
	return !c.broken && c.refusal == nil && process.Now().Sub(c.givenBack) < DueTime && c.owed > 0 && len(c.inbuf) == 0 && !c.Rezoned() && c.killed.Load() == nil
}

// Collect takes the frames of n answers owed off the front of ctl. It returns the rest and how many
// answers are still missing; ok is false when the connection is of no more use. See Refused.
func (c *Conn) Collect(ctl []byte, n int) (rest []byte, missing int, ok bool) {
	for last := c.owed - n; c.owed > last && !c.broken; {
		f, after, whole, err := wire.Next(ctl)
		if err != nil {
			c.broken = true
		}
		if !whole {
			break
		}
		c.takeFrame(f)
		ctl, n = after, c.owed-last
	}
	return ctl, n, !c.broken
}

// CollectCommands is Collect for n commands of AppendUndo, which no ReadyForQuery of their own follows.
// Where one has failed the server has skipped the rest, up to the ReadyForQuery of the statement.
func (c *Conn) CollectCommands(ctl []byte, n int) (rest []byte, missing int, ok bool) {
	for (n > 0 || c.refusal != nil && c.owed > 0) && !c.broken {
		f, after, whole, err := wire.Next(ctl)
		if err != nil {
			c.broken = true
		}
		if !whole {
			break
		}
		switch {
		case f.Kind == 'C':
			n--
		case f.Kind == 'E' && c.refusal == nil:
			if fault := wire.ParseError(f.Body); !fault.Fatal() {
				c.owed++
				commands := c.statements.undoCommands
				c.noteRefusal(fault, commands[len(commands)-n])
				n = 0
			}
		}
		c.takeFrame(f)
		ctl = after
	}
	if c.refusal != nil && c.owed > 0 { // it has ended behind the error
		c.broken, n = true, 1
	}
	return ctl, n, !c.broken && c.refusal == nil
}

// readFrames takes the whole frames off inbuf, and tells the kind of the last one; false if they are
// none of PostgreSQL's.
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
// or the server's goodbye.
func (c *Conn) takeFrame(f wire.Frame) {
	switch f.Kind {
	case 'C':
		if c.owed == 0 || c.reset == nil {
			break
		}
		if c.resetRan++; c.reset.looks && c.resetRan == len(c.reset.commands) && wire.ParseTag(f.Body).Rows > 0 {
			c.refusal = &wire.Fault{Message: "prepared statements are left"}
		}
	case 'E':
		fault := wire.ParseError(f.Body)
		switch {
		case fault.Fatal() || c.owed == 0:
			c.broken = true
		case c.refusal == nil && c.reset != nil && c.resetRan < len(c.reset.commands):
			c.noteRefusal(fault, c.reset.commands[c.resetRan])
		default:
			c.noteRefusal(fault, "")
		}
	case 'S':
		c.TakeParameter(f.Body)
	case 'Z':
		if len(f.Body) == 1 {
			c.tx = f.Body[0]
		}
		if c.owed--; c.owed < 0 || len(f.Body) != 1 {
			c.broken = true
		}
		if c.refusal == nil && c.owed == 0 {
			c.repairs = 0
		}
	}
}
