package pool

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// descriptors is the fork table, as hn_fd of the ABI header: for each descriptor number the inode of
// what a forked child's handler must close, or 0. The memory is C's; the handler reads it without
// asking Go. Without a table (Go tests) registration does nothing.
var descriptors []uint64

// descriptorsUsed is how many places of it the handler looks at.
var descriptorsUsed *uint64

// forkGate is hn_boot's gate: how many descriptors are being opened, and above forking the forks under way.
var forkGate = new(uint64)

const (
	forking  = 1 << 32
	forkLook = 100 * time.Microsecond
)

// UseTable gives the fork table to the package, once, before anything connects.
func UseTable(memory unsafe.Pointer, slots int, used, gate *uint64) {
	descriptors, descriptorsUsed, forkGate = unsafe.Slice((*uint64)(memory), slots), used, gate
}

// beginOpening keeps the process from forking until endOpening: between the two a descriptor is opened and
// entered in the fork table. It waits for forks under way, and nothing in between may block.
func beginOpening() {
	for atomic.AddUint64(forkGate, 1) >= forking {
		endOpening()
		time.Sleep(forkLook)
	}
}

func endOpening() { atomic.AddUint64(forkGate, ^uint64(0)) }

// watch enters fd in the fork table and returns the inode it was entered with. A descriptor that has no
// place there must not be used: a forked child would keep it open.
func watch(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if descriptors == nil {
		return st.Ino, nil
	}
	if uint(fd) >= uint(len(descriptors)) {
		return 0, fmt.Errorf("descriptor %d: a process of so many open files could not be forked safely", fd)
	}
	for used := atomic.LoadUint64(descriptorsUsed); used <= uint64(fd); used = atomic.LoadUint64(descriptorsUsed) {
		atomic.CompareAndSwapUint64(descriptorsUsed, used, uint64(fd)+1)
	}
	atomic.StoreUint64(&descriptors[fd], st.Ino)
	return st.Ino, nil
}

// unwatch takes fd out of the table if it is still the descriptor entered with ino. A socket is
// closed first: a child that is forked in between finds it in the table, and a stranger that got its
// number has another inode. Events, which all have one inode, are taken out before they are closed.
func unwatch(fd int, ino uint64) {
	if uint(fd) < uint(len(descriptors)) {
		atomic.CompareAndSwapUint64(&descriptors[fd], ino, 0)
	}
}

// Event is a descriptor that becomes readable once Set is called: what C polls while Go works.
// Its owner closes it; Set after Close does nothing. Both are called under the owner's lock.
type Event struct {
	FD     int
	ino    uint64
	number uint64 // no other event's, and no socket's inode
	set    bool
}

const firstEvent = 1 << 63

var events atomic.Uint64 // how many there have been

// spareEvents are events to be used again: under contention every acquire waits for one, and a
// descriptor costs two system calls more to make and close than to empty.
var spareEvents = make(chan Event, 64)

// NewEvent is an event, one that was used before if there is any.
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
	beginOpening()
	defer endOpening()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	ino, err := watch(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Event{FD: fd, ino: ino, number: firstEvent + events.Add(1)}, nil
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
// comes from OpenEvent: a loop that watched it would find it readable as long as any process, a forked
// child too, has the duplicate. It is not used again: its count is shared.
func (e *Event) Duplicate() (int, error) {
	return unix.FcntlInt(uintptr(e.FD), unix.F_DUPFD_CLOEXEC, 0)
}

// Close gives the event up: it is emptied and kept for the next, or its descriptor is closed.
func (e *Event) Close() {
	if e.FD < 0 {
		return
	}
	spare := Event{FD: e.FD, ino: e.ino, number: e.number}
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
