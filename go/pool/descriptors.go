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
}

// NewEvent opens an event.
func NewEvent() (*Event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Event{FD: fd, ino: watch(fd)}, nil
}

// Set makes the descriptor readable.
func (e *Event) Set() {
	if e.FD >= 0 {
		one := [8]byte{1}
		_, _ = unix.Write(e.FD, one[:]) // an eventfd at its limit is readable already
	}
}

// Duplicate is another descriptor of the same event, for someone who closes it himself.
func (e *Event) Duplicate() (int, error) {
	return unix.FcntlInt(uintptr(e.FD), unix.F_DUPFD_CLOEXEC, 0)
}

// Close closes the descriptor.
func (e *Event) Close() {
	if e.FD >= 0 {
		unwatch(e.FD, e.ino)
		_ = unix.Close(e.FD)
		e.FD = -1
	}
}
