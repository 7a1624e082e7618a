package session

import (
	"strings"
	"sync"
	"time"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/process"
	"hypern/go/wire"
)

// Session is one request's conversation with one database.
type Session struct {
	registry *Registry
	key      key
	pool     *pool.Pool
	nested   bool // the pool is
	place    int  // in registry.sessions, -1: closed; guarded by the registry's mu

	mu         sync.Mutex // guards all below; held for one step, never across a wait
	conn       *connection.Conn
	tx         tx
	autoCommit bool
	marked     bool        // set_error() was called
	failed     bool        // the request has failed, which rolls back as well
	told       bool        // the caller has been given the error that ended the transaction
	inDoubt    bool        // the lost transaction's COMMIT was under way
	first      *wire.Fault // the error that aborted the open transaction
	lastSQL    string
	owed       []string    // commands to send before the next statement: BEGIN, SAVEPOINT, RELEASE
	sent       []string    // the commands sent before the last statement
	used       bool        // something was sent on conn, so that it needs a reset
	unused     bool        // the I/O under way is the first on conn
	stream     *stream     // the open one, or nil
	streams    uint64      // how many there have been
	blocks     []block     // the transaction() blocks that are open, the outermost first
	void       *void       // why statements fail until all of them are left; nil: they do not
	savepoints []savepoint // of the open transaction, the outermost first
	hooks      int64       // functions that waited for a commit when the operation began
	portals    []string    // ended, to be closed on the server with the next write
	nest       nest        // of a nested pool

	op operation
}

// phase is where an operation stands: what the next step continues.
type phase uint8

const (
	phaseNone           phase = iota
	phasePassword             // the callable is being asked
	phaseQueue                // waiting for a connection
	phaseSettle               // collecting what the connection still owes
	phaseProbe                // testing the connection
	phaseDescribe             // the server is parsing and describing
	phaseEncode               // C is encoding for the description
	phaseTypes                // the server is describing types
	phaseGuard                // the server is preparing guards
	phaseLook                 // the server is looking at the guards alone
	phaseReshape              // a failed guard is being undone
	phaseExecute              // the statement is running
	phaseRows                 // the rows of execute_many are running
	phaseRowsEnd              // execute_many's transaction or savepoint is being ended
	phaseUndo                 // execute_many is being rolled back
	phaseStreamEnd            // a stream's own transaction is being committed or rolled back
	phaseVerdict              // COMMIT, ROLLBACK or a savepoint command is running
	phaseScriptBegin          // what precedes a script is running
	phaseScript               // a script is running, or one of its statements
	phaseScriptSettings       // the settings behind a script are being read
	phaseScriptEnd            // a script's settings are being set back, and its transaction is being ended
	phaseFarewell             // what needs no answer is being sent before release
	phaseEncoding             // client_encoding is being set back
	phaseCalm                 // execute_many is to be rolled back, once no request to cancel can hit that
	phaseCancel               // over, but a request to cancel is still under way
	phaseTrail                // over, but the server is in the middle of a message of its own accord
	phaseTurn                 // nested: the savepoint around a statement is being set
	phaseCheck                // nested: over, but deferred constraints are being checked
)

// describes tells whether the server is asked about a statement, and runs nothing of the caller's.
func (p phase) describes() bool {
	switch p {
	case phaseDescribe, phaseTypes, phaseGuard, phaseLook, phaseReshape, phaseScriptBegin:
		return true
	}
	return false
}

// cancellable tells whether a request to cancel is to be repeated until the server has noticed it: not one
// that could hit the rollback after it.
func (p phase) cancellable() bool {
	return p != phaseCancel && p != phaseCalm && p != phaseUndo && p != phaseScriptEnd
}

// operation is the one under way. It is cleared twice for each, and part of every session, so the small
// fields stand together.
type operation struct {
	op         abi.Op
	chunk      int32 // STREAM, FETCH: most rows to receive
	phase      phase
	fresh      bool // described in this operation, so that an error is no sign of staleness
	retried    bool
	moved      bool // to another connection, since the first had ended before it was used
	inside     bool // a transaction was open on the server when the operation began
	reparse    bool
	cancelled  bool                // Cancel was called; nothing more is to be started
	checks     bool                // execute_many: client_encoding is looked at before the rows are committed
	begun      bool                // execute_many: its transaction or savepoint has been sent
	more       bool                // execute_many: rows before these have been sent, for other declared types
	nested     bool                // execute_many inside a transaction
	saved      bool                // guards run in a savepoint, or rows do, of a transaction that was open before
	looking    bool                // a value did not fit: the guards are to be looked at ahead of anything else
	refused    bool                // C has encoded nothing, since a value did not fit
	registered bool                // the caller has converters for types, by their names
	naming     []uint32            // phaseDescribe: the types whose names were asked for along with it
	columns    bool                // phaseTypes: the columns of tables were asked for
	reshapes   uint8               // how often types were found altered
	under      *connection.Catalog // MANY: what the rows are encoded by
	guards     uint16              // guards sent with the statement in this I/O
	ahead      uint16              // MANY: those of them ahead of the rows
	commits    bool                // phaseStreamEnd: by a COMMIT, not a ROLLBACK
	again      bool                // phaseStreamEnd: the statement was stale, run it anew. phaseReshape: BEGIN is to be sent again
	stepwise   bool                // SCRIPT: statement by statement
	unreset    bool                // finalize: COMMIT went without the reset, for whoever is next to send
	sql        string              // the statement's text; a view of C memory until a Statement owns it, or owned
	owned      bool                // own has cloned it
	name       string              // a savepoint's name
	block      uint64              // ENTER, LEAVE, UNDO: which
	hooks      hooks               // what becomes of the functions that wait for a commit
	byRequest  bool                // COMMIT, ROLLBACK: by the end of a request
	turns      bool                // nested: the connection is being waited for, and nothing else begun
	waiter     *pool.Waiter
	cause      cause
	timeout    float64        // the caller's timeout= in seconds; below 0: none
	event      *process.Event // phaseCancel: set when the request to cancel is over
	statement  *connection.Statement
	script     *script
	declared   []uint32 // the types declared for the parameters; nil: the server infers all
	guess      uint64
	now        process.Moment // when its statement was looked for; 0 before that
	until      process.Moment // when the wait for a connection ends; 0 before it begins
	settled    process.Moment // when the wait for this connection's answers ends; 0 before it begins
	prefix     int            // commands sent before the statement in this I/O
	got        answer
	before     int         // execute_many: how many rows were sent before these
	total      int64       // execute_many: what they have affected
	undo       *wire.Fault // phaseUndo, phaseStreamEnd, phaseVerdict: what to report
	ended      *stream     // phaseStreamEnd: whose transaction it is
	rows       int64       // phaseStreamEnd: what the last chunk held
	outcome    outcome     // phaseCancel, phaseTrail, phaseCheck: what to report
	mapped     *mapped     // nested: the transaction command under way
	clock      *time.Timer // cancels the statement; nil where the server keeps the time
	failed     *wire.Fault // finalize: what to report
}

type outcome struct {
	want  abi.Want
	count int64
	fault *wire.Fault
}

// Describe tells who holds a connection, for messages and status.
func (s *Session) Describe() pool.HolderInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pool.HolderInfo{
		RequestID: s.key.request, Alias: s.key.alias, SQL: s.lastSQL, State: s.tx.state().String(),
	}
}

// State is the packed answer of hypern_state.
func (s *Session) State() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packed()
}

func (s *Session) packed() uint32 {
	v := uint32(s.tx.state())
	if s.tx.active() {
		v |= abi.FlagInTransaction
	}
	if s.autoCommit {
		v |= abi.FlagAutoCommit
	}
	if s.marked {
		v |= abi.FlagError
	}
	if s.conn != nil && s.conn.Shared() {
		v |= abi.FlagShared
	}
	if s.conn != nil && s.conn.Incomplete() {
		v |= abi.FlagIncomplete
	}
	return v
}

// Set changes what hypern_state may change, and returns its answer.
func (s *Session) Set(what int32, value int32) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch what {
	case abi.SetAutoCommit:
		s.autoCommit = value != 0
	case abi.SetError:
		s.marked = s.marked || value != 0
	case abi.SetFailed:
		s.failed = s.failed || value != 0
	case abi.SetNotEntered:
		s.abandonBlock(uint64(uint32(value)))
	case abi.SetFindBlock:
		if s.placeOf(uint64(uint32(value))) >= 0 {
			return s.packed() | abi.FlagBlock
		}
	}
	return s.packed()
}

// Cancel ends what runs on the session's connection, from any thread: by asking the server, or by
// shutting the connection down. It reports whether there was anything to end.
func (s *Session) Cancel(how int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancel(how, causeOf(how))
}

// cancel: called with mu held.
func (s *Session) cancel(how int32, why cause) bool {
	if s.op.cause == causeNone {
		s.op.cause = why
	}
	if s.op.phase == phaseQueue {
		s.op.waiter.Fail(cancelledFault("while waiting for a connection"))
		return true
	}
	if s.conn == nil || s.op.phase == phaseNone {
		return false
	}
	s.op.cancelled = true
	if how != abi.CancelKill && s.uninterruptible() {
		return true
	}
	if how == abi.CancelKill {
		s.conn.Kill(&wire.Fault{Kind: wire.KindConnectionLost, Message: "the statement did not end in time " +
			"after it was cancelled, so its connection was closed"})
		return true
	}
	if s.op.event == nil {
		event, err := process.NewEvent()
		if err != nil {
			return false
		}
		s.op.event = event
		again := cancelAgain
		if s.op.op == abi.OpMany {
			again = cancelAgainRows
		}
		s.askToCancel(event, again)
	}
	return true
}

// How long a cancelled statement may take to end before the request is repeated, first and at most: one
// that arrives ahead of the statement has no effect.
const (
	cancelAgain    = 50 * time.Millisecond
	cancelAgainMax = 400 * time.Millisecond
	// cancelAgainRows is for execute_many: a request that falls between two short statements has no effect
	// either, and one of several does not.
	cancelAgainRows = 3 * time.Millisecond
)

// askToCancel sends a request to cancel, and again, each time after twice the time, until the operation
// of this event has ended. Called with mu held.
func (s *Session) askToCancel(event *process.Event, again time.Duration) {
	s.conn.Cancel(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.op.event != event || !s.op.phase.cancellable() {
			event.Set()
			return
		}
		time.AfterFunc(again, func() {
			process.Go(func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.op.event == event && s.op.phase.cancellable() && s.conn != nil {
					s.askToCancel(event, longer(again))
				}
			})
		})
	})
}

// longer is the time until the next request, after this time had no effect.
func longer(again time.Duration) time.Duration {
	if again < cancelAgain {
		return again * 9 / 8
	}
	return min(2*again, cancelAgainMax)
}

// cancelledFault is for what was cancelled before the server had anything to do with it.
func cancelledFault(when string) *wire.Fault {
	return &wire.Fault{SQLState: wire.StateQueryCanceled, SafeToRetry: true,
		Message: "cancelled " + when}
}

// Transport reads or writes through the connection's TLS for C.
func (s *Session) Transport(writing bool, p []byte) int64 {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if c == nil {
		return abi.IOFailed
	}
	var n int
	var err error
	if writing {
		n, err = c.Write(p)
	} else {
		n, err = c.Read(p)
	}
	switch {
	case n > 0 || err == nil:
		return int64(n)
	case connection.IsAgain(err):
		return abi.IOAgain
	case !writing && isEOF(err):
		return 0
	}
	return abi.IOFailed
}

// take makes c the session's connection.
func (s *Session) take(c *connection.Conn) {
	s.conn, s.used = c, false
	c.ShareCatalog()
	if s.tx.server == 0 { // else it shares the connection, and has had it before
		s.tx = s.tx.transition(evAcquired, 0)
	}
}

// release gives the connection back, whatever its condition.
func (s *Session) release() {
	if c := s.conn; c != nil {
		s.parted()
		s.pool.Release(c)
	}
}

// parted: the connection is about to be somebody else's, or is already.
func (s *Session) parted() {
	s.conn = nil
	s.stream, s.portals = nil, nil
	s.tx = s.tx.transition(evReleased, 0)
}

// lose drops the connection and returns the fault to report. ran: the statement may have run.
func (s *Session) lose(why string, ran bool) *wire.Fault {
	c := s.conn
	fault := c.Killed()
	if fault == nil {
		fault = &wire.Fault{Kind: wire.KindConnectionLost, Message: "the connection to the server was lost: " + why}
	} else {
		copied := *fault
		fault = &copied
	}
	fault.SafeToRetry = !ran && !s.tx.active()
	if s.tx.active() && s.first == nil {
		s.first = fault
	}
	s.told = false
	s.tx, s.nest = s.tx.transition(evLost, 0), nest{}
	s.owed = nil
	switch s.ending() {
	case "COMMIT":
		s.inDoubt = s.tx.lost
	case "ROLLBACK":
		s.settled(evRolledBack, false) // which is what was asked for
	}
	c.Break()
	s.conn = nil
	s.stream, s.portals = nil, nil
	s.pool.Release(c)
	return fault
}

// remember keeps the statement for those who ask what the session does: of a very long one the beginning.
func (s *Session) remember(sql string) {
	if len(sql) > 64<<10 {
		sql = strings.Clone(sql[:4<<10])
	}
	s.lastSQL = sql
}
