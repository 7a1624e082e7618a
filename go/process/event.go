package process

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Event is a descriptor that becomes readable once Set is called: C polls it while Go works.
// Its owner closes it; Set after Close does nothing. Both are called under the owner's lock.
type Event struct {
	fd     int
	ino    uint64
	number uint64
	set    bool
}

const firstEvent = 1 << 63

var events atomic.Uint64 // how many have been opened

// spareEvents are events to be reused: under contention every acquire waits for one, and opening and
// closing a descriptor takes two system calls more than emptying it.
var spareEvents = make(chan Event, 64)

// NewEvent returns an event: a spare one if there is any.
func NewEvent() (*Event, error) {
	select {
	case e := <-spareEvents:
		return &e, nil
	default:
		return OpenEvent()
	}
}

// OpenEvent opens an event, which no event loop watches yet.
func OpenEvent() (*Event, error) {
	BeginOpening()
	defer EndOpening()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	ino, err := Watch(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Event{fd: fd, ino: ino, number: firstEvent + events.Add(1)}, nil
}

// FD is the descriptor to poll, -1 once the event is closed.
func (e *Event) FD() int { return e.fd }

// Number is unique: no other event has it, and no socket has it as its inode.
func (e *Event) Number() uint64 { return e.number }

// Set makes the descriptor readable.
func (e *Event) Set() {
	if e.fd >= 0 && !e.set {
		e.set = true
		one := [8]byte{1}
		_, _ = RawCall(unix.SYS_WRITE, e.fd, one[:], 0) // an eventfd at zero accepts a one
	}
}

// Clear makes the descriptor unreadable until the next Set.
func (e *Event) Clear() {
	if e.fd >= 0 && e.set {
		e.set = false
		var count [8]byte
		_, _ = RawCall(unix.SYS_READ, e.fd, count[:], 0) // it has a count, which this takes
	}
}

// Duplicate returns another descriptor of the same event, which its caller closes. The event
// comes from OpenEvent: a loop that watched it would find it readable as long as any process, a forked
// child included, has the duplicate. It is not reused: its count is shared.
func (e *Event) Duplicate() (int, error) {
	return unix.FcntlInt(uintptr(e.fd), unix.F_DUPFD_CLOEXEC, 0)
}

// Close empties the event and keeps it for reuse, or closes its descriptor.
func (e *Event) Close() {
	if e.fd < 0 {
		return
	}
	spare := Event{fd: e.fd, ino: e.ino, number: e.number}
	e.fd = -1
	if e.set {
		var count [8]byte
		if _, errno := RawCall(unix.SYS_READ, spare.fd, count[:], 0); errno != 0 {
			spare.Retire()
			return
		}
	}
	select {
	case spareEvents <- spare:
	default:
		spare.Retire()
	}
}

// Retire closes the descriptor of an event that is not to be reused.
func (e *Event) Retire() {
	Unwatch(e.fd, e.ino)
	_ = unix.Close(e.fd)
	e.fd = -1
}
