package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RawCall makes a system call that cannot block, without notifying Go's scheduler: that would cost more
// than the call itself.
func RawCall(call uintptr, fd int, p []byte, flags uintptr) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), flags, 0, 0)
	return int(n), errno
}
