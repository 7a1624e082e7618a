package main

/*
#cgo CFLAGS: -I${SRCDIR}/../abi
#include <stdlib.h>
#include <string.h>
#include "hypern_abi.h"
*/
import "C"

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"github.com/go-python/gopy/gopyh"

	"hypern/go/abi"
	"hypern/go/process"
	"hypern/go/session"
	"hypern/go/wire"
)

// minProcs keeps a processor free for a thread that enters Go while others, waiting in C, still hold
// theirs: with one, such a thread would sleep until the monitor thread comes by.
const minProcs = 8

// heapGrowth, in percent, lets the heap grow to 8 MiB before it is collected. A request leaves less
// than a kilobyte, and a collection every 4,000 requests cost each of them 1 us on a single core.
const heapGrowth = 200

var fingerprint = C.CString(abi.Fingerprint())

//export hypern_abi
func hypern_abi() *C.char { return fingerprint }

//export hypern_boot
func hypern_boot(boot *C.hn_boot) C.int32_t {
	fault := guard(func() *wire.Fault {
		process.UseTable(unsafe.Pointer(boot.fds), int(boot.nfds), (*uint64)(unsafe.Pointer(boot.used)), (*uint64)(unsafe.Pointer(boot.gate)))
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(heapGrowth)
		}
		if runtime.GOMAXPROCS(0) < minProcs {
			runtime.GOMAXPROCS(minProcs)
		}
		// A timer has the runtime open its poller's descriptors, now that there are known to be some: without
		// them it would abort the process.
		time.AfterFunc(time.Hour, func() {}).Stop()
		return nil
	})
	if fault != nil {
		return -1
	}
	return 0
}

//export hypern_configure
func hypern_configure(settings *C.char, length C.int64_t, out *C.hn_buf) C.int32_t {
	return report(out, guard(func() *wire.Fault {
		return registry.Configure([]byte(view(settings, length)))
	}))
}

//export hypern_open
func hypern_open(request *C.char, requestLen C.int64_t, alias *C.char, aliasLen C.int64_t,
	options *C.char, optionsLen C.int64_t, reads C.int32_t, wanted *C.char, wantedLen C.int64_t, out *C.hn_buf) C.int64_t {
	handle := C.int64_t(-1)
	_ = report(out, guard(func() *wire.Fault { // the handle says it
		s, fault := registry.Open(view(request, requestLen), view(alias, aliasLen), view(options, optionsLen),
			reads != 0, view(wanted, wantedLen))
		if fault == nil {
			handle = C.int64_t(register(s))
		}
		return fault
	}))
	return handle
}

//export hypern_step
func hypern_step(handle C.int64_t, call *C.hn_call) C.int32_t {
	fault := guard(func() *wire.Fault {
		s, fault := lookup(int64(handle))
		if fault != nil {
			return fault
		}
		step(s, call)
		return nil
	})
	if fault != nil {
		call.want = C.uint32_t(abi.WantFail)
		call.state = C.uint32_t(abi.StateClosed)
		call.tail.len, call.wait_secs = 0, 0
		store(&call.out, fault.JSON())
		return -1
	}
	return 0
}

// calls are those of steps that are over. A step's call is passed to methods of an interface, so that each would be
// an allocation: a small statement took 1.05 times as much processor time with it (PostgreSQL 15, November 2026).
var calls = sync.Pool{New: func() any { return new(session.Call) }}

// step carries one step's input and output across.
func step(s *session.Session, call *C.hn_call) {
	c := calls.Get().(*session.Call)
	*c = session.Call{
		Op:       abi.Op(call.op),
		Flags:    uint32(call.in_flags),
		SQL:      view(call.sql, call.sql_len),
		BodyLen:  int(call.body_len),
		Ctl:      bytes(call.ctl, call.ctl_len),
		Extra:    bytes(call.extra, call.extra_len),
		Sent:     int64(call.sent),
		Binds:    int64(call.binds),
		Errno:    int32(call.io_errno),
		Chunk:    int64(call.chunk),
		Plan:     uint64(call.plan),
		Declared: unsafe.Slice((*uint32)(unsafe.Pointer(call.declared)), int(call.ndeclared)),
		Items:    items(call),
		Stream:   uint64(call.stream),
		Timeout:  float64(call.timeout),
		Block:    uint64(call.block),
		Hooks:    int64(call.hooks),
		Head:     empty(&call.head),
		Tail:     empty(&call.tail),
		Out:      empty(&call.out),
		FD:       -1,
		WaitMS:   -1,
	}
	s.Step(c)
	if c.Want == abi.WantFail {
		c.Out = c.Fault.JSON()
	}
	call.want = C.uint32_t(c.Want)
	call.io_flags = C.uint32_t(c.IOFlags)
	call.socket = C.uint64_t(c.Socket)
	call.fd = C.int32_t(c.FD)
	call.events = 1 // POLLIN: nothing else is waited for outside an I/O
	call.wait_ms = C.int32_t(min(c.WaitMS, 1<<31-1))
	call.zs = C.int32_t(c.ZS)
	call.grace_ms = C.int32_t(c.GraceMS)
	call.limit_ms = C.int32_t(c.LimitMS)
	call.count = C.int64_t(c.Count)
	call.plan = C.uint64_t(c.Plan)
	call.catalog = C.uint64_t(c.Catalog)
	call.guards = C.int32_t(c.Guards)
	call.item = C.int64_t(c.Item)
	call.described = C.int32_t(c.Described)
	call.stream = C.uint64_t(c.Stream)
	if c.Want == abi.WantDone || c.Want == abi.WantFail {
		call.hooks_kept = C.int64_t(c.HooksKept)
		call.hooks_due = C.bool(c.HooksDue)
		call.wait_secs = C.double(c.Waited.Seconds())
		call.written.lsn, call.written.system = C.uint64_t(c.Written.LSN), C.uint64_t(c.Written.System)
		call.written.timeline = C.uint32_t(c.Written.Timeline)
	}
	store(&call.head, c.Head)
	store(&call.tail, c.Tail)
	store(&call.out, c.Out)
	call.state = C.uint32_t(c.State)
	c.Fault = nil
	calls.Put(c)
}

// items are the statements of a batch, as views of C memory.
func items(call *C.hn_call) []session.Item {
	if call.op != C.uint32_t(abi.OpBatch) {
		return nil
	}
	given := unsafe.Slice(call.items, int(call.nitems))
	list := make([]session.Item, len(given))
	for i := range given {
		g := &given[i]
		list[i] = session.Item{
			SQL:      view(g.sql, g.sql_len),
			Declared: unsafe.Slice((*uint32)(unsafe.Pointer(g.declared)), int(g.ndeclared)),
			Plan:     uint64(g.plan),
			BodyLen:  int(g.body_len),
			Flags:    uint32(g.in_flags),
		}
	}
	return list
}

//export hypern_cancel
func hypern_cancel(handle C.int64_t, how C.int32_t) C.int32_t {
	result := C.int32_t(-1)
	_ = guard(func() *wire.Fault { // the answer prepared above stands for any fault
		if s, fault := lookup(int64(handle)); fault == nil && s.Cancel(int32(how)) {
			result = 0
		}
		return nil
	})
	return result
}

//export hypern_transport
func hypern_transport(handle C.int64_t, writing C.int32_t, data *C.uint8_t, length C.int64_t) C.int64_t {
	n := int64(abi.IOFailed)
	_ = guard(func() *wire.Fault { // the answer prepared above stands for any fault
		s, fault := lookup(int64(handle))
		if fault == nil {
			n = s.Transport(writing != 0, bytes(data, length))
		}
		return fault
	})
	return C.int64_t(n)
}

//export hypern_state
func hypern_state(handle C.int64_t, set C.int32_t, value C.int32_t) C.uint32_t {
	state := uint32(abi.StateClosed)
	_ = guard(func() *wire.Fault { // the answer prepared above stands for any fault
		s, fault := lookup(int64(handle))
		if fault == nil {
			state = s.Set(int32(set), int32(value))
		}
		return fault
	})
	return C.uint32_t(state)
}

//export hypern_release
func hypern_release(handle C.int64_t) C.int32_t {
	// Past the guard: a view may be dropped after a panic, too.
	release(int64(handle))
	return 0
}

//export hypern_pool
func hypern_pool(op C.int32_t, alias *C.char, aliasLen C.int64_t, out *C.hn_buf) C.int32_t {
	result := C.int32_t(-1)
	fault := guard(func() *wire.Fault {
		name := view(alias, aliasLen)
		switch op {
		case abi.PoolStatus:
			p := registry.Pool(name)
			if p == nil {
				return &wire.Fault{Kind: wire.KindConfiguration, Message: "no database is configured for this alias"}
			}
			result = storeJSON(out, p.Status())
		case abi.PoolDrain:
			if p := registry.Pool(name); p != nil {
				p.Drain()
			}
			result = 0
		case abi.PoolJobsFD, abi.PoolJobs, abi.PoolTexts, abi.PoolSettle, abi.PoolBaseline, abi.PoolHooked,
			abi.PoolHeardFD, abi.PoolHeard, abi.PoolListen:
			answer, fault := attend(op, name, out)
			result = answer
			return fault
		case abi.PoolClose, abi.PoolDisconnect:
			event, err := process.OpenEvent()
			if err != nil {
				return &wire.Fault{Kind: wire.KindOperational, Message: err.Error()}
			}
			// C gets a duplicate and closes it when it likes; the core's own outlives the work.
			fd, err := event.Duplicate()
			if err != nil {
				event.Retire()
				return &wire.Fault{Kind: wire.KindOperational, Message: err.Error()}
			}
			done := func() {
				event.Set()
				event.Retire()
			}
			if !registry.Close(name, done) {
				done()
			}
			result = C.int32_t(fd)
		case abi.PoolLeft:
			result = storeJSON(out, registry.Left())
		case abi.PoolPanic:
			return injected()
		case abi.PoolDebug:
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			result = storeJSON(out, map[string]any{
				"goroutines": runtime.NumGoroutine(), "handles": gopyh.NumHandles(),
				"sessions": registry.Count(), "heap_bytes": mem.HeapAlloc, "gc_runs": mem.NumGC,
			})
		}
		return nil
	})
	if fault != nil {
		return report(out, fault) - 1
	}
	return result
}

// report stores fault in out: -1, or 0 for no fault.
func report(out *C.hn_buf, fault *wire.Fault) C.int32_t {
	if fault == nil {
		return 0
	}
	store(out, fault.JSON())
	return -1
}

func storeJSON(out *C.hn_buf, v any) C.int32_t {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs always marshal
	}
	store(out, b)
	return 0
}

// view is C text as a string that shares its memory, for the length of a call.
func view(p *C.char, n C.int64_t) string {
	if p == nil || n <= 0 {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Pointer(p)), int(n))
}

func bytes(p *C.uint8_t, n C.int64_t) []byte {
	if p == nil || n <= 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n))
}

// empty is a C buffer as an empty slice to append to. Should it outgrow its capacity, append moves
// to Go memory and store copies it back.
func empty(b *C.hn_buf) []byte {
	if b.data == nil {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(b.data)), int(b.cap))[:0]
}

// store makes b the content of a C buffer, growing it if need be.
func store(out *C.hn_buf, b []byte) {
	n := C.size_t(len(b))
	out.len = n
	if n == 0 || unsafe.Pointer(unsafe.SliceData(b)) == unsafe.Pointer(out.data) {
		return
	}
	if out.cap < n {
		p := C.realloc(unsafe.Pointer(out.data), n)
		if p == nil {
			panic("out of memory")
		}
		out.data, out.cap = (*C.uint8_t)(p), n
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(out.data)), len(b)), b)
}
