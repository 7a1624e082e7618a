package process

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// descriptors is the fork table, hn_fd in the ABI header: for each descriptor number the inode of
// what a forked child's handler must close, or 0. The memory belongs to C; the handler reads it without
// calling Go. Without a table (Go tests) registration does nothing.
var descriptors []uint64

// descriptorsUsed is how many entries of it the handler looks at.
var descriptorsUsed *uint64

// forkGate is the gate of hn_boot: how many descriptors are being opened, plus `forking` for each fork under way.
var forkGate = new(uint64)

const (
	forking  = 1 << 32
	forkLook = 100 * time.Microsecond
)

// UseTable sets the fork table, once, before anything connects.
func UseTable(memory unsafe.Pointer, slots int, used, gate *uint64) {
	descriptors, descriptorsUsed, forkGate = unsafe.Slice((*uint64)(memory), slots), used, gate
}

// BeginOpening keeps the process from forking until EndOpening: between the two a descriptor is opened and
// entered in the fork table. It waits for forks under way, and nothing in between may block.
func BeginOpening() {
	for atomic.AddUint64(forkGate, 1) >= forking {
		EndOpening()
		time.Sleep(forkLook)
	}
}

// EndOpening ends what BeginOpening began.
func EndOpening() { atomic.AddUint64(forkGate, ^uint64(0)) }

// Watch enters fd in the fork table and returns the inode it was entered with. A descriptor without an
// entry must not be used: a forked child would keep it open.
func Watch(fd int) (uint64, error) {
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

// Unwatch removes fd from the table if it is still the descriptor entered with ino. A socket is
// closed first: a child that is forked in between finds it in the table, and an unrelated descriptor that got
// its number has another inode. Events, which all share one inode, are removed before they are closed.
func Unwatch(fd int, ino uint64) {
	if uint(fd) < uint(len(descriptors)) {
		atomic.CompareAndSwapUint64(&descriptors[fd], ino, 0)
	}
}
