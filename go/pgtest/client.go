package pgtest

import (
	"iter"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hypern/go/abi"
	"hypern/go/session"
	"hypern/go/wire"
)

// stuckAfter is when an operation that makes no progress fails its test.
const stuckAfter = 20 * time.Second

// Point is a moment of an operation at which a Session's Hook is asked: before a want is served, and,
// for those that send, once all is sent and before the answer is read.
type Point struct {
	Want abi.Want
	Sent bool
}

// Action is what a Hook answers.
type Action int

// The actions.
const (
	Serve   Action = iota // do what is wanted
	Abandon               // give the operation up
	TimeOut               // WAIT: say that the time ran out
	HangUp                // IO: say that the connection has ended
	Resume                // WAIT: go on, whatever the descriptor says
)

// Session drives one session.Session as the C side does. One operation runs at a time.
type Session struct {
	Core *session.Session
	// Hook, when set, is asked at every point of every operation.
	Hook func(Point) Action
	// Types are OIDs to ask the server for, once, at the next WANT_ENCODE; TypeRows is its answer.
	Types    []uint32
	TypeRows []byte
	// Guess turns off encoding for a description that is known: every statement asks for it.
	NoGuess bool
	// Block is the transaction() block of ENTER, LEAVE and UNDO.
	Block uint64
	// FD and WaitMS are the descriptor and the time that the operation's last step spoke of.
	FD     int
	WaitMS int64

	t      testing.TB
	driver *Driver
	alias  string
	in     []byte // received and not yet used, during one operation
}

// Result is what an operation came to.
type Result struct {
	Rows  [][]string // DataRows as text; NULL is ""
	Count int64
	State uint32
	// Stream is the number of the stream that STREAM or FETCH left open; 0 after its last row.
	Stream uint64
	Fault  *wire.Fault
	Wants  []abi.Want // what the core asked for, in order
}

// Run runs one operation to its end. text is the statement or the savepoint's name.
func (s *Session) Run(op abi.Op, text string, params ...any) Result {
	s.t.Helper()
	return s.run(&operation{session: s, sql: text, params: params}, op, 0)
}

// Reparse runs a statement with HN_IN_REPARSE.
func (s *Session) Reparse(sql string, params ...any) Result {
	s.t.Helper()
	return s.run(&operation{session: s, sql: sql, params: params}, abi.OpStatement, abi.InReparse)
}

// RunFlagged runs an operation without a text, with flags for its first step.
func (s *Session) RunFlagged(op abi.Op, flags uint32) Result {
	s.t.Helper()
	return s.run(&operation{session: s}, op, flags)
}

// Many runs execute_many for the rows.
func (s *Session) Many(sql string, rows iter.Seq[[]any]) Result {
	s.t.Helper()
	return s.run(&operation{session: s, sql: sql, rows: rows}, abi.OpMany, 0)
}

// Rows is a list as the rows of Many.
func Rows(rows ...[]any) iter.Seq[[]any] { return slices.Values(rows) }

// Try runs a statement that may fail.
func (s *Session) Try(sql string, params ...any) Result {
	s.t.Helper()
	return s.Run(abi.OpStatement, sql, params...)
}

// Query runs a statement and returns its rows; it fails the test on an error.
func (s *Session) Query(sql string, params ...any) [][]string {
	s.t.Helper()
	return s.must(s.Try(sql, params...), sql).Rows
}

// Value is the first column of the first row of a statement.
func (s *Session) Value(sql string, params ...any) string {
	s.t.Helper()
	rows := s.Query(sql, params...)
	if len(rows) == 0 || len(rows[0]) == 0 {
		s.t.Fatalf("%s: no rows", sql)
	}
	return rows[0][0]
}

// Execute runs a statement and returns the rows affected; it fails the test on an error.
func (s *Session) Execute(sql string, params ...any) int64 {
	s.t.Helper()
	return s.must(s.Try(sql, params...), sql).Count
}

// Must runs an operation that takes no SQL from a user and fails the test on an error.
func (s *Session) Must(op abi.Op, text string) Result {
	s.t.Helper()
	return s.must(s.Run(op, text), text)
}

// Begin opens a transaction.
func (s *Session) Begin() { s.t.Helper(); s.Must(abi.OpBegin, "BEGIN") }

// Commit commits the transaction.
func (s *Session) Commit() { s.t.Helper(); s.Must(abi.OpCommit, "") }

// Rollback rolls the transaction back.
func (s *Session) Rollback() { s.t.Helper(); s.Must(abi.OpRollback, "") }

// Finalize ends the session.
func (s *Session) Finalize() { s.t.Helper(); s.Must(abi.OpFinalize, "") }

// State is the session's state in the specification's words.
func (s *Session) State() string { return abi.State(s.Core.State() & 0xff).String() }

// InTransaction tells whether the session says that it is in a transaction.
func (s *Session) InTransaction() bool { return s.Core.State()&abi.FlagInTransaction != 0 }

func (s *Session) must(r Result, what string) Result {
	s.t.Helper()
	if r.Fault != nil {
		s.t.Fatalf("%s: %s %v", what, r.Fault.Kind, r.Fault)
	}
	return r
}

// operation is one under way: the C side's hn_call and what goes with it.
type operation struct {
	session *Session
	sql     string
	params  []any
	rows    iter.Seq[[]any]
	chunk   int64  // of a stream
	stream  uint64 // of a stream
	call    session.Call
	body    []byte
	result  Result
	failed  error  // why the parameters could not be encoded
	stop    func() // ends the iteration over rows
}

func (s *Session) run(o *operation, op abi.Op, flags uint32) Result {
	s.t.Helper()
	s.in, o.stop = nil, func() {}
	defer func() { o.stop() }()
	start := session.Call{Op: op, Flags: flags, SQL: o.sql, Chunk: o.chunk, Stream: o.stream, Block: s.Block, Timeout: -1}
	if p := s.driver.plan(s.alias, o.sql); p != nil && (op == abi.OpStatement || op == abi.OpStream) && !s.NoGuess && flags == 0 {
		if body, err := p.encode(o.params); err == nil {
			o.body, start.Plan = body, p.number
			start.Flags |= abi.InGuess
		}
	}
	o.step(start)
	for o.call.Want != abi.WantDone && o.call.Want != abi.WantFail {
		o.serve()
	}
	if o.call.Want == abi.WantFail {
		o.result.Fault = o.call.Fault
		if o.failed != nil {
			o.result.Fault = &wire.Fault{Kind: wire.KindProgramming, Message: o.failed.Error(), Cause: o.call.Fault}
		}
	}
	o.result.Count, o.result.State, o.result.Stream = o.call.Count, o.call.State, o.call.Stream
	return o.result
}

// step makes the next step: the input is the caller's, the output replaces the previous one.
func (o *operation) step(in session.Call) {
	in.BodyLen, in.FD, in.WaitMS = len(o.body), -1, -1
	if in.Plan == 0 {
		in.Plan = o.call.Plan
	}
	if in.Stream == 0 {
		in.Stream = o.call.Stream
	}
	o.session.Core.Step(&in)
	o.call = in
	o.session.FD, o.session.WaitMS = in.FD, in.WaitMS
	o.result.Wants = append(o.result.Wants, in.Want)
}

func (o *operation) ask(sent bool) Action {
	if o.session.Hook == nil {
		return Serve
	}
	return o.session.Hook(Point{o.call.Want, sent})
}

// serve does what the core wants.
func (o *operation) serve() {
	s := o.session
	action := o.ask(false)
	switch action {
	case Abandon:
		o.step(session.Call{Op: abi.OpAbandon})
		return
	case HangUp:
		o.step(session.Call{Flags: abi.InEOF})
		return
	}
	switch o.call.Want {
	case abi.WantWait:
		flags := uint32(0)
		if action == TimeOut || action == Serve && !o.wait() {
			flags = abi.InTimeout
		}
		o.step(session.Call{Flags: flags})
	case abi.WantEncode:
		o.encode()
	case abi.WantTypes:
		s.TypeRows = slices.Clone(o.call.Out)
		o.encodeFor(s.driver.plan(s.alias, o.sql))
	case abi.WantIO:
		pieces := [][]byte{o.call.Head}
		if o.call.IOFlags&abi.IOBody != 0 {
			pieces = append(pieces, o.body)
		}
		o.exchange(slices.Concat(append(pieces, o.call.Tail)...), nil)
	case abi.WantRows:
		o.exchange(o.call.Out, o.feed())
	default:
		s.t.Fatalf("the core wants something unknown: %d", o.call.Want)
	}
}

// wait polls the descriptor; false when the time that the core gave ran out.
func (o *operation) wait() bool {
	limit := int(stuckAfter.Milliseconds())
	if o.call.WaitMS >= 0 {
		limit = int(o.call.WaitMS)
	}
	ready := poll(o.call.FD, unix.POLLIN, limit)
	if !ready && o.call.WaitMS < 0 {
		o.session.t.Fatal("the core waits for what does not come")
	}
	return ready
}

// encode takes in a description and encodes the parameters for it, after asking for types if the
// test wants some.
func (o *operation) encode() {
	s := o.session
	p, err := parsePlan(o.call.Plan, o.call.Out)
	if err != nil {
		s.t.Fatal(err)
	}
	s.driver.remember(s.alias, o.sql, p)
	if oids := s.Types; len(oids) > 0 {
		s.Types = nil
		o.step(session.Call{Op: abi.OpTypes, SQL: nativeWords(oids)})
		return
	}
	o.encodeFor(p)
}

func (o *operation) encodeFor(p *plan) {
	if o.rows == nil {
		if o.body, o.failed = p.encode(o.params); o.failed != nil {
			o.step(session.Call{Op: abi.OpAbandon})
			return
		}
	}
	o.step(session.Call{Plan: p.number})
}
