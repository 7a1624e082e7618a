package pool

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// table replaces the fork table for one test.
func table(t *testing.T, slots int) {
	t.Helper()
	before, usedBefore := descriptors, descriptorsUsed
	descriptors, descriptorsUsed = make([]uint64, slots), new(uint64)
	t.Cleanup(func() { descriptors, descriptorsUsed = before, usedBefore })
}

func entered() int {
	return len(descriptors) - len(slices.DeleteFunc(slices.Clone(descriptors), func(ino uint64) bool { return ino != 0 }))
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

func dialed(t *testing.T, host string) (*Conn, error) {
	t.Helper()
	p, fault := New(&Config{
		Alias: "a", MaxSize: 1, ConnInfo: map[string]string{"host": host, "port": "5432", "user": "u", "dbname": "d", "sslmode": "disable"},
	})
	if fault != nil {
		t.Fatal(fault)
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	return p.dial(ctx)
}

func TestARefusedLoginLeavesNoEntryInTheForkTable(t *testing.T) {
	const refusal = "E\x00\x00\x00\x1fSFATAL\x00C28P01\x00Mno entry\x00\x00"
	table(t, 4096)
	for _, answer := range []string{refusal, "garbage", ""} {
		if _, err := dialed(t, refusing(t, answer)); err == nil {
			t.Fatalf("%q was taken for a login", answer)
		}
		if n := entered(); n != 0 {
			t.Errorf("%q: %d entries", answer, n)
		}
	}
	if _, err := dialed(t, t.TempDir()); err == nil || entered() != 0 {
		t.Errorf("nobody listens: %v, %d entries", err, entered())
	}
	if *descriptorsUsed == 0 {
		t.Error("no entry was ever made")
	}
}

func TestADescriptorWithoutAPlaceInTheForkTableIsNotUsed(t *testing.T) {
	table(t, 3)
	if _, err := dialed(t, refusing(t, "")); err == nil || !strings.Contains(err.Error(), "could not be forked safely") {
		t.Errorf("%v", err)
	}
	if e, err := OpenEvent(); err == nil {
		t.Errorf("event %d", e.FD)
	}
}
