package connection

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hypern/go/process"
)

// receiveTimeout bounds one blocking recv of the C side: it closes the gap in which a signal lands
// between releasing the GIL and entering recv, at no cost while data flows.
const receiveTimeout = 100 * time.Millisecond

// unaskedMax is far more than a server sends before the first statement, TLS included, or between two:
// a server that goes on and on would otherwise fill the memory.
const unaskedMax = 4 << 20

var errTalkative = errors.New("the server sent more than any login takes")

// errAgain is what a detached socket returns when it would block. It is a temporary net.Error, which
// crypto/tls passes on without failing the connection for good.
var errAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "the socket would block" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// socket is the transport below TLS. While a connection is made it is an ordinary net.Conn in Go's
// poller; detach takes it out for good, since the poller would wake a thread at every packet. From
// then on C waits on the descriptor, and reads and writes here never block.
type socket struct {
	net.Conn     // nil once detached
	dialed   int // the descriptor it was dialed with, while Conn has it
	remote   net.Addr
	ino      uint64

	// fd is the detached descriptor, -1 before. It belongs to the connection's holder.
	fd int

	heard   int  // bytes read before it was detached
	listens bool // it is for LISTEN: what it hears has no end

	mu      sync.Mutex // guards closed against Shutdown from another thread
	closed  bool
	pending []byte // TLS records not yet taken by the kernel
}

// detach moves the descriptor out of Go's poller into blocking mode with a receive timeout.
func (s *socket) detach() error {
	raw, ok := s.Conn.(syscall.Conn)
	if !ok {
		return errors.New("the dialed connection has no descriptor")
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	var dupErr error
	err = rc.Control(func(old uintptr) {
		process.BeginOpening()
		defer process.EndOpening()
		if fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); dupErr == nil {
			if _, dupErr = process.Watch(fd); dupErr != nil {
				_ = unix.Close(fd)
			}
		}
	})
	if err = errors.Join(err, dupErr); err != nil {
		return err
	}
	s.fd = fd
	if err := s.closeDialed(); err != nil {
		return err
	}
	s.Conn = nil
	tv := unix.NsecToTimeval(receiveTimeout.Nanoseconds())
	return errors.Join(unix.SetNonblock(fd, false),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
}

// closeDialed closes what was dialed, and takes it out of the fork table.
func (s *socket) closeDialed() error {
	err := s.Conn.Close()
	process.Unwatch(s.dialed, s.ino)
	return err
}

// RemoteAddr is the server's address; pgconn needs it to cancel.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// Read reads what has arrived; errAgain if nothing has, once detached.
func (s *socket) Read(p []byte) (int, error) {
	if s.Conn != nil {
		n, err := s.Conn.Read(p)
		if s.heard += n; s.heard > unaskedMax && !s.listens {
			return 0, errTalkative
		}
		return n, err
	}
	for {
		n, errno := process.RawCall(unix.SYS_RECVFROM, s.fd, p, unix.MSG_DONTWAIT)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, errAgain
		case errno != 0:
			return 0, errno
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write accepts all of p. Once detached it keeps what the kernel does not accept (crypto/tls treats a
// partial write as fatal); Flush sends it later.
func (s *socket) Write(p []byte) (int, error) {
	if s.Conn != nil {
		return s.Conn.Write(p)
	}
	s.pending = append(s.pending, p...)
	if err := s.Flush(); err != nil && !IsAgain(err) {
		return 0, err
	}
	return len(p), nil
}

// Flush sends what Write has kept; errAgain while some of it remains.
func (s *socket) Flush() error {
	for len(s.pending) > 0 {
		n, err := unix.SendmsgN(s.fd, s.pending, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return errAgain
		case err != nil:
			return err
		}
		s.pending = s.pending[:copy(s.pending, s.pending[n:])]
	}
	return nil
}

// sendNow sends without blocking.
func (s *socket) sendNow(p []byte) int {
	n, errno := process.RawCall(unix.SYS_SENDTO, s.fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if errno != 0 {
		return 0
	}
	return n
}

// Shutdown ends the I/O and keeps the descriptor; any thread may call it.
func (s *socket) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.fd >= 0 {
		_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // the peer may have gone first
	}
}

// EndWriting signals the peer that nothing more will be sent. Only the holder calls it.
func (s *socket) EndWriting() { _ = unix.Shutdown(s.fd, unix.SHUT_WR) } // the peer may have gone first

// Close closes the descriptor. Only the holder calls it, with no I/O under way.
func (s *socket) Close() error {
	if s.Conn != nil {
		return s.closeDialed()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := unix.Close(s.fd)
	process.Unwatch(s.fd, s.ino)
	return err
}
