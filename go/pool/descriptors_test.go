package pool

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const tableSize = 4096

// The package's tests have a fork table from the start: goroutines of any test use it.
func init() { UseTable(unsafe.Pointer(new([tableSize]uint64)), tableSize, new(uint64), new(uint64)) }

func entered() int {
	n := 0
	for i := range descriptors {
		if atomic.LoadUint64(&descriptors[i]) != 0 {
			n++
		}
	}
	return n
}

// left is how many entries stay: pgconn closes some connections in the background, and asks the server
// to cancel over others.
func left() int {
	n := entered()
	for deadline := time.Now().Add(5 * time.Second); n > 0 && time.Now().Before(deadline); n = entered() {
		time.Sleep(time.Millisecond)
	}
	return n
}

// refusing is the directory of a server that answers everyone with this.
func refusing(t *testing.T, answer string) string {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(client).ReadByte()
			_, _ = io.WriteString(client, answer)
			_ = client.Close()
		}
	}()
	return dir
}

func dialed(t *testing.T, host string) error {
	t.Helper()
	p, fault := New(&Config{
		Alias: "a", MaxSize: 1, ConnInfo: map[string]string{"host": host, "port": "5432", "user": "u", "dbname": "d", "sslmode": "disable"},
	})
	if fault != nil {
		t.Fatal(fault)
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	_, err := p.dial(ctx)
	return err
}

func TestARefusedLoginLeavesNoEntryInTheForkTable(t *testing.T) {
	const refusal = "E\x00\x00\x00\x1fSFATAL\x00C28P01\x00Mno entry\x00\x00"
	for _, answer := range []string{refusal, "garbage", ""} {
		if err := dialed(t, refusing(t, answer)); err == nil {
			t.Fatalf("%q was taken for a login", answer)
		}
		if n := left(); n != 0 {
			t.Errorf("%q: %d entries", answer, n)
		}
	}
	if err := dialed(t, t.TempDir()); err == nil || left() != 0 {
		t.Errorf("nobody listens: %v, %d entries", err, entered())
	}
	if atomic.LoadUint64(descriptorsUsed) == 0 {
		t.Error("no entry was ever made")
	}
}

func TestADescriptorWithoutAPlaceInTheForkTableIsNotUsed(t *testing.T) {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, tableSize)
	if err != nil {
		t.Skipf("this process cannot open so many files: %v", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := watch(fd); err == nil || !strings.Contains(err.Error(), "could not be forked safely") {
		t.Errorf("%v", err)
	}
	var opened sockets
	if opened.watch(fd) == nil || opened.unwatch(-1) != 0 {
		t.Error("a socket of a dial was accepted")
	}
}

func TestNoDescriptorIsOpenedWhileTheProcessForks(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	p := &Pool{config: &Config{}}
	for name, open := range map[string]func() error{
		"an event": func() error {
			e, err := OpenEvent()
			if err == nil {
				e.Retire()
			}
			return err
		},
		"a connection": func() error {
			c, err := p.dialer(context.Background(), "unix", listener.Addr().String())
			if err == nil {
				err = c.(*Socket).Close()
			}
			return err
		},
		"a connection that is refused": func() error {
			if _, err := p.dialer(context.Background(), "unix", "/nowhere"); err == nil {
				return io.ErrUnexpectedEOF
			}
			return nil
		},
	} {
		atomic.AddUint64(forkGate, forking)
		done := make(chan error, 1)
		go func() { done <- open() }()
		select {
		case err := <-done:
			t.Errorf("%s was opened", name)
			done <- err
		case <-time.After(20 * time.Millisecond):
		}
		atomic.AddUint64(forkGate, ^uint64(forking-1))
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); atomic.LoadUint64(forkGate) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a descriptor still counts as being opened")
		}
	}
}
