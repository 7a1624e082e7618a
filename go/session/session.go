package session

import (
	"strings"
	"sync"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/wire"
)

// Session is one request's conversation with one database.
type Session struct {
	registry *Registry
	key      key
	root     *pool.Pool // the alias's; never changes
	pool     *pool.Pool // root, or its replica's
	scope    *options   // of its scope; replaced by setLocal, under mu
	place    int        // in registry.sessions, -1: closed; guarded by the registry's mu

	mu         sync.Mutex // guards all below; held for one step, never across a wait
	conn       *connection.Conn
	tx         tx
	nested     bool // the pool is; never changes
	autoCommit bool
	marked     bool        // set_error() was called
	failed     bool        // the request has failed, which rolls back as well
	told       bool        // the caller has been given the error that ended the transaction
	inDoubt    bool        // the lost transaction's COMMIT was under way
	localAt    uint16      // which of what was sent ahead, from 1, sets what statements are parsed under
	applied    bool        // the open transaction has the scope's settings, or will have with the next statement
	used       bool        // something was sent on conn, so that it needs a reset
	unused     bool        // the I/O under way is the first on conn
	first      *wire.Fault // the error that aborted the open transaction
	lastSQL    string
	texts      []string // all of them, of a session that the on_connect functions are called with
	newcomer   bool     // it is one
	where      string   // where the connection leads to that it has, or had last: host, NUL, port
	prelude    prelude
	stream     *stream     // the open one, or nil
	streams    uint64      // how many there have been
	blocks     []block     // the transaction() blocks that are open, the outermost first
	void       *void       // why statements fail until all of them are left; nil: they do not
	savepoints []savepoint // of the open transaction, the outermost first
	hooks      int64       // functions that waited for a commit when the operation began
	copy       *openCopy   // COPY TO STDOUT whose data has not all been received
	portals    []string    // ended, to be closed on the server with the next write
	nest       nest        // of a nested pool

	// Where a session that only reads gets its connections: from a replica's pool, and from the primary's once no
	// replica serves it.
	reads   bool                // it only reads; never changes
	primary *pool.Pool          // stands in for pool, which is a replica's; nil: it is not
	wanted  connection.Position // what a replica must have replayed; LSN 0: nothing
	tells   bool                // the log is to have a line about an outage of the replicas

	written connection.Position // the end of the log behind what it has committed; LSN 0: nothing was
	unasked bool                // something was committed that written does not cover

	op operation
	// Memory of the kinds that are run most: s.op.kind is one of them, or allocated.
	single     single
	opening    opening
	leaving    leaving // or its control alone
	finalizing finalizing
}

// Request is the id of the session's request.
func (s *Session) Request() string { return s.key.request }

// Describe tells who holds a connection, for messages and status.
func (s *Session) Describe() pool.HolderInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pool.HolderInfo{
		RequestID: s.key.request, Alias: s.key.alias, Label: s.scope.label, SQL: s.lastSQL, State: s.tx.state().String(),
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
		if s.placeOf(uint64(uint32(value))) >= 0 || value == 0 && len(s.blocks) > 0 {
			return s.packed() | abi.FlagBlock
		}
	}
	return s.packed()
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
	s.conn, s.used, s.where = c, false, c.Where()
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
	if s.scope != plain {
		s.conn.Statements().Ahead(nil, false)
	}
	s.conn = nil
	s.stream, s.portals, s.copy = nil, nil, nil
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
	s.losesTrack(ran)
	s.tx, s.nest = s.tx.transition(evLost, 0), nest{}
	s.prelude.clear()
	switch s.ending() {
	case "COMMIT":
		s.inDoubt = s.tx.lost
	case "ROLLBACK":
		s.settled(evRolledBack, false) // which is what was asked for
	}
	c.Break()
	s.conn = nil
	s.stream, s.portals, s.copy = nil, nil, nil
	s.pool.Release(c)
	return fault
}

// remember keeps the statement for those who ask what the session does: of a very long one the beginning.
func (s *Session) remember(sql string) {
	if len(sql) > 64<<10 {
		sql = strings.Clone(sql[:4<<10])
	}
	s.lastSQL = sql
	if s.newcomer {
		s.texts = append(s.texts, sql)
	}
}
