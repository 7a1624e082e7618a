package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"hypern/go/process"
	"hypern/go/session"
	"hypern/go/wire"
)

// child names the environment variable under which this binary runs a test alone: a poisoned core
// cannot be mended.
const child = "HYPERN_BRIDGE_CHILD"

func TestAPanicBecomesCoreUnavailableForThisAndEveryLaterCall(t *testing.T) {
	if os.Getenv(child) == "" {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), child+"=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	ran := 0
	count := func() *wire.Fault { ran++; return nil }
	if fault := guard(count); fault != nil || ran != 1 {
		t.Fatal("a call is passed on before anything happened")
	}
	for range 2 {
		fault := guard(injected)
		if fault == nil || fault.Kind != wire.KindCoreUnavailable {
			t.Fatalf("%+v", fault)
		}
	}
	if fault := guard(count); fault == nil || ran != 1 {
		t.Fatal("a poisoned core goes on working")
	}
	if !process.Poisoned() {
		t.Fatal("nobody knows")
	}
}

func TestAPanicInABackgroundGoroutinePoisonsTheCoreToo(t *testing.T) {
	if os.Getenv(child) == "" {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), child+"=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	done := make(chan struct{})
	process.Go(func() {
		defer close(done)
		panic("injected by a test")
	})
	<-done
	for !process.Poisoned() {
		runtime.Gosched() // the recover follows the deferred close
	}
	if fault := guard(func() *wire.Fault { return nil }); fault == nil || fault.Kind != wire.KindCoreUnavailable {
		t.Fatalf("%+v", fault)
	}
}

func TestAHandleIsKnownUntilItIsGivenBack(t *testing.T) {
	s := &session.Session{}
	handle := register(s)
	if got, fault := lookup(handle); fault != nil || got != s {
		t.Fatalf("%v %v", got, fault)
	}
	release(handle)
	if _, fault := lookup(handle); fault == nil || fault.Kind != wire.KindInterface {
		t.Fatalf("%+v", fault)
	}
	release(handle) // once too often does nothing
	for _, unknown := range []int64{0, -1, 1 << 40} {
		if _, fault := lookup(unknown); fault == nil {
			t.Errorf("handle %d is known", unknown)
		}
	}
}
