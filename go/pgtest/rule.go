package pgtest

import (
	"encoding/binary"
	"net"
	"time"
)

// Fault is what a rule does to a connection.
type Fault int

// The faults.
const (
	Pass      Fault = iota // pass the message on, after Delay and Hold
	Cut                    // close both ends in order
	Reset                  // close both ends with RST
	HalfClose              // end this direction only; the other one goes on
	BlackHole              // pass nothing more in either direction, and say nothing
)

// Rule says what happens at one message, or in the middle of it.
type Rule struct {
	Direction Direction
	// When chooses the message; nil chooses by AtByte.
	When func(Message) bool
	// AtByte chooses the message that holds this byte of the direction's stream, and the place in it.
	AtByte int64
	// Offset is how much of the message still passes before the fault; -1 is all of it.
	Offset int
	Do     Fault
	// Delay is waited for before anything is done.
	Delay time.Duration
	// Hold, when set, is waited for before anything is done: the test closes it.
	Hold chan struct{}
	// Replace, when set, gives what passes in place of the message.
	Replace func(Message) []byte
	// Append is written right behind the message, in one piece with it.
	Append []byte
	// Again keeps the rule after its first use.
	Again bool

	done  bool
	fired chan struct{}
}

// Fired is closed when the rule has met its message: before Delay, Hold and the fault.
func (r *Rule) Fired() <-chan struct{} { return r.fired }

// Kind chooses messages by type byte.
func Kind(kind byte) func(Message) bool {
	return func(m Message) bool { return m.Kind == kind }
}

// Nth chooses the n-th message of a connection in the rule's direction, from 0.
func Nth(conn, n int) func(Message) bool {
	return func(m Message) bool { return m.Conn == conn && m.Index == n }
}

// Tagged chooses the CommandComplete with this tag.
func Tagged(tag string) func(Message) bool {
	return func(m Message) bool { return m.Kind == 'C' && string(m.Bytes[5:]) == tag+"\x00" }
}

func (r *Rule) matches(m Message) bool {
	if m.Direction != r.Direction {
		return false
	}
	if r.When != nil {
		return r.When(m)
	}
	return m.Start <= r.AtByte && r.AtByte < m.Start+int64(len(m.Bytes))
}

// act does what the rule says; false ends the direction.
func (r *Rule) act(l *link, to net.Conn, m Message) bool {
	select {
	case <-r.fired:
	default:
		close(r.fired)
	}
	if r.Delay > 0 {
		timer := time.NewTimer(r.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.hole:
		}
	}
	if r.Hold != nil {
		select {
		case <-r.Hold:
		case <-l.hole:
		}
	}
	part := m.Bytes
	if r.Replace != nil {
		part = r.Replace(m)
	}
	if r.Do != Pass {
		part = part[:r.cutAt(m)]
	}
	if _, err := to.Write(append(part[:len(part):len(part)], r.Append...)); err != nil {
		return false
	}
	switch r.Do {
	case Cut:
		l.close()
	case Reset:
		for _, c := range []net.Conn{l.client, l.server} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // fails only on a closed socket
			}
		}
		l.close()
	case HalfClose:
		closeWrite(to)
	case BlackHole:
		l.black()
	case Pass:
		return true
	}
	return false
}

func (r *Rule) cutAt(m Message) int {
	n := r.Offset
	if r.When == nil {
		n = int(r.AtByte - m.Start)
	}
	if n < 0 || n > len(m.Bytes) {
		return len(m.Bytes)
	}
	return n
}

// Request codes a connection may start with in place of a protocol version.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
const (
	codeCancel = 80877102
	codeTLS    = 80877103
)

func startupKind(b []byte) byte {
	if len(b) >= 8 {
		switch binary.BigEndian.Uint32(b[4:]) {
		case codeTLS:
			return KindTLS
		case codeCancel:
			return KindCancel
		}
	}
	return KindStartup
}

// noteStartup follows what a client says before messages have types.
func (l *link) noteStartup(kind byte) {
	if kind == KindTLS {
		l.asked.Store(true)
	}
}

// answersTLS tells whether the server's byte is its answer to a request for TLS. After a yes the
// stream cannot be read any more.
func (l *link) answersTLS(b byte) bool {
	if !l.asked.CompareAndSwap(true, false) {
		return false
	}
	if b == 'S' {
		l.rawOnce.Do(func() { close(l.raw) })
	}
	return true
}
