package session

import (
	"time"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

// Call is one step's input and output, as hn_call has it. Byte slices of the input are views of C
// memory, valid during the step only.
type Call struct {
	Op        abi.Op
	Flags     uint32
	SQL       string // a view, to be cloned if kept
	BodyLen   int
	Ctl       []byte
	Extra     []byte
	Sent      int64
	Binds     int64
	Errno     int32
	Chunk     int64 // most rows of a stream to receive
	Plan      uint64
	Declared  []uint32 // a view, to be cloned if kept
	Catalog   uint64   // ENCODE: the number of what is known of the server's types
	Guards    int      // IO, ROWS: RowDescriptions ahead of the result's own, which end nothing
	Items     []Item   // BATCH, with the op that starts: its statements; views, to be cloned if kept
	Item      int      // ENCODE of a batch: which of them
	Described int      // ROWS: which RowDescription is that of the rows' results, from 1; 0: none
	Stream    uint64   // the open stream's number, in and out
	Timeout   float64  // the caller's timeout= in seconds, with the op that starts; below 0: none
	Block     uint64   // ENTER, LEAVE, UNDO: which
	Hooks     int64    // functions that wait for a commit, as the operation begins

	Want    abi.Want
	IOFlags uint32
	FD      int
	Socket  uint64 // which socket or event FD is; 0: one to be watched for a single answer
	WaitMS  int64
	ZS      int
	GraceMS int32
	LimitMS int32 // IO: how long it may take; 0: no limit
	Count   int64
	Head    []byte
	Tail    []byte
	Out     []byte
	State   uint32
	Fault   *wire.Fault

	HooksKept int64 // how many functions go on waiting, the first ones; abi.HooksAll: all
	HooksDue  bool  // the others are to be called; else they are dropped

	Written connection.Position // DONE, FAIL: the end of the log behind the session's commits; LSN 0: none

	Waited time.Duration // DONE, FAIL, where it is observed: how long it has waited in the pool's queue
}

// Item is one statement of a batch, as hn_call_item has it.
type Item struct {
	SQL      string
	Declared []uint32
	Plan     uint64
	BodyLen  int
	Flags    uint32
}

func (c *Call) has(flag uint32) bool { return c.Flags&flag != 0 }

// Shorthands for answers.

func (c *Call) done(count int64) { c.Want, c.Count = abi.WantDone, count }

func (c *Call) fail(f *wire.Fault) { c.Want, c.Fault = abi.WantFail, f }

func (c *Call) wait(fd int, ms int64) { c.Want, c.FD, c.WaitMS = abi.WantWait, fd, ms }

func (c *Call) io(flags uint32, zs int) { c.Want, c.IOFlags, c.ZS = abi.WantIO, flags, zs }
