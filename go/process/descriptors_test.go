package process

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const tableSize = 4096

// The package's tests have a fork table from the start: goroutines of any test use it.
func init() { UseTable(unsafe.Pointer(new([tableSize]uint64)), tableSize, new(uint64), new(uint64)) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestADescriptorWithoutAPlaceInTheForkTableIsNotUsed(t *testing.T) {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, tableSize)
	if err != nil {
		t.Skipf("this process cannot open so many files: %v", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := Watch(fd); err == nil || !strings.Contains(err.Error(), "could not be forked safely") {
		t.Errorf("%v", err)
	}
}

func TestAnEventIsInTheForkTableUntilItIsRetired(t *testing.T) {
	e, err := OpenEvent()
	if err != nil {
		t.Fatal(err)
	}
	fd := e.FD()
	if ino := atomic.LoadUint64(&descriptors[fd]); ino == 0 || atomic.LoadUint64(descriptorsUsed) <= uint64(fd) {
		t.Error("an open event has no entry")
	}
	e.Retire()
	if atomic.LoadUint64(&descriptors[fd]) != 0 {
		t.Error("a retired event has an entry")
	}
}

func TestNoEventIsOpenedWhileTheProcessForks(t *testing.T) {
	atomic.AddUint64(forkGate, forking)
	done := make(chan error, 1)
	go func() {
		e, err := OpenEvent()
		if err == nil {
			e.Retire()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Error("an event was opened")
		done <- err
	case <-time.After(20 * time.Millisecond):
	}
	atomic.AddUint64(forkGate, ^uint64(forking-1))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := atomic.LoadUint64(forkGate); n != 0 {
		t.Errorf("%d descriptors still count as being opened", n)
	}
}
