package connection

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hypern/go/process"
)

const (
	tableSize = 4096
	forking   = 1 << 32 // what a fork under way adds to the gate
)

// The package's tests have a fork table from the start: goroutines of any test use it.
var (
	table      = new([tableSize]uint64)
	used, gate = new(uint64), new(uint64)
)

func init() { process.UseTable(unsafe.Pointer(table), tableSize, used, gate) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func entered() int {
	n := 0
	for i := range table {
		if atomic.LoadUint64(&table[i]) != 0 {
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
	d, fault := NewDialer(&Settings{
		ConnInfo: map[string]string{"host": host, "port": "5432", "user": "u", "dbname": "d", "sslmode": "disable"},
	})
	if fault != nil {
		t.Fatal(fault)
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	_, err := d.Dial(ctx, "")
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
	if atomic.LoadUint64(used) == 0 {
		t.Error("no entry was ever made")
	}
}

func TestASocketWithoutAPlaceInTheForkTableIsNotUsed(t *testing.T) {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, tableSize)
	if err != nil {
		t.Skipf("this process cannot open so many files: %v", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var opened sockets
	if opened.watch(fd) == nil || opened.unwatch(-1) != 0 {
		t.Error("a socket of a dial was accepted")
	}
}

func TestNoConnectionIsOpenedWhileTheProcessForks(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	d := &Dialer{settings: &Settings{}}
	for name, open := range map[string]func() error{
		"a connection": func() error {
			c, err := d.open(context.Background(), "unix", listener.Addr().String())
			if err == nil {
				err = c.(*socket).Close()
			}
			return err
		},
		"a connection that is refused": func() error {
			if _, err := d.open(context.Background(), "unix", "/nowhere"); err == nil {
				return io.ErrUnexpectedEOF
			}
			return nil
		},
	} {
		atomic.AddUint64(gate, forking)
		done := make(chan error, 1)
		go func() { done <- open() }()
		select {
		case err := <-done:
			t.Errorf("%s was opened", name)
			done <- err
		case <-time.After(20 * time.Millisecond):
		}
		atomic.AddUint64(gate, ^uint64(forking-1))
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); atomic.LoadUint64(gate) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a descriptor still counts as being opened")
		}
	}
}
