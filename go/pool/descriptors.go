package pool

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slot mirrors hn_fd of the ABI header: what a forked child's handler must close.
type slot struct {
	fdPlus1 int32
	_       int32
	ino     uint64
}

// descriptors is the fork table: one slot per descriptor number. The memory is C's; the child's fork
// handler reads it without asking Go. Without a table (Go tests) registration does nothing.
var descriptors []slot

// UseTable gives the fork table to the package, once, before anything connects.
func UseTable(memory unsafe.Pointer, slots int) {
	descriptors = unsafe.Slice((*slot)(memory), slots)
}

// watch enters fd in the fork table and returns the inode it was entered with.
func watch(fd int) uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0
	}
	if uint(fd) < uint(len(descriptors)) {
		s := &descriptors[fd]
		atomic.StoreUint64(&s.ino, st.Ino)
		atomic.StoreInt32(&s.fdPlus1, int32(fd)+1)
	}
	return st.Ino
}

// unwatch takes fd out of the table if it is still the descriptor entered with ino. It must precede
// the close, so that a child never closes a stranger that got the same number.
func unwatch(fd int, ino uint64) {
	if uint(fd) < uint(len(descriptors)) {
		s := &descriptors[fd]
		if atomic.LoadUint64(&s.ino) == ino {
			atomic.StoreInt32(&s.fdPlus1, 0)
		}
	}
}

// Event is a descriptor that becomes readable once Set is called: what C polls while Go works.
// Its owner closes it; Set after Close does nothing. Both are called under the owner's lock.
type Event struct {
	FD  int
	ino uint64
	set bool
}

// spareEvents are events to be used again: under contention every acquire waits for one, and a
// descriptor costs two system calls more to make and close than to empty.
var spareEvents = make(chan Event, 64)

// NewEvent opens an event.
func NewEvent() (*Event, error) {
	select {
	case e := <-spareEvents:
		return &e, nil
	default:
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Event{FD: fd, ino: watch(fd)}, nil
}

// Set makes the descriptor readable.
func (e *Event) Set() {
	if e.FD >= 0 && !e.set {
		e.set = true
		one := [8]byte{1}
		_, _ = rawCall(unix.SYS_WRITE, e.FD, one[:], 0) // an eventfd at zero takes a one
	}
}

// Duplicate is another descriptor of the same event, for someone who closes it himself. The event
// is not used again: its count is shared.
func (e *Event) Duplicate() (int, error) {
	return unix.FcntlInt(uintptr(e.FD), unix.F_DUPFD_CLOEXEC, 0)
}

// Close gives the event up: it is emptied and kept for the next, or its descriptor is closed.
func (e *Event) Close() {
	if e.FD < 0 {
		return
	}
	spare := Event{FD: e.FD, ino: e.ino}
	e.FD = -1
	if e.set {
		var count [8]byte
		if _, errno := rawCall(unix.SYS_READ, spare.FD, count[:], 0); errno != 0 {
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

// Retire closes the descriptor, for an event that is not to be used again.
func (e *Event) Retire() {
	unwatch(e.FD, e.ino)
	_ = unix.Close(e.FD)
	e.FD = -1
}
