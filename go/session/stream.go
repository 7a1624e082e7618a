package session

import (
	"math"
	"strconv"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

// stream is a result that is received in chunks, through a portal of the server's. A portal lives in a
// transaction: outside one the stream has its own, which the session's state does not show.
type stream struct {
	number    uint64
	statement *connection.Statement
	own       bool
}

func (st *stream) portal() string { return "hypern_" + strconv.FormatUint(st.number, 10) }

// chunk is a number of rows as Execute carries it.
func chunk(rows int64) int32 { return int32(min(max(rows, 0), math.MaxInt32)) }

// openStream makes the statement about to be sent the session's stream, and appends the BEGIN of a
// transaction of its own.
func (s *Session) openStream(dst []byte) ([]byte, string) {
	if s.streams++; s.nests() { // others have streams on the connection, too
		s.streams = s.conn.Nest().Number()
	}
	s.stream = &stream{number: s.streams, statement: s.op.statement, own: !s.tx.active()}
	if s.stream.own && !s.nests() {
		dst = appendCommand(dst, "BEGIN")
		s.op.prefix++
	}
	return dst, s.stream.portal()
}

// ofStream runs FETCH or STREAM_END.
func (s *Session) ofStream(c *Call) {
	open := s.stream != nil && s.stream.number == c.Stream
	if open {
		s.op.sql = s.stream.statement.SQL
	}
	switch {
	case open && s.op.op == abi.OpFetch:
		s.fetch(c)
	case s.op.op == abi.OpFetch:
		c.fail(&wire.Fault{Kind: wire.KindInterface, Message: "the stream has ended, with rows left: " +
			"a session's next statement, commit or rollback ends its open stream"})
	case !open || s.endStream(c):
		c.Stream = 0
		c.done(0)
	}
}

// fetch asks for the next chunk. Between two chunks others may have altered a type, and the server sends
// composites by its attributes as they are by now: so guards go with each.
func (s *Session) fetch(c *Call) {
	st := s.stream.statement
	guarded, ours := s.guarded(st), 0
	s.op.guards, s.op.prefix, s.op.saved = 0, 0, guarded
	if guarded {
		s.op.statement, s.op.declared = st, st.Declared
		if !s.prepareGuards(c, st) {
			return
		}
		c.Head = s.appendShapeSavepoint(c.Head)
		c.Head, ours = s.appendGuards(c.Head, st, true)
		c.Head = appendRelease(c.Head)
		c.Guards, ours = int(s.op.guards), ours+2
	}
	f := s.lacks(format(c.Flags&formatFlags), "", true)
	if f != 0 {
		c.Head = appendFormat(c.Head, f, true)
	}
	c.Head = wire.AppendExecuteChunk(c.Head, s.stream.portal(), s.op.chunk)
	c.Head = wire.AppendSync(endFormat(c.Head, f, s.stream.portal(), true))
	s.beginIO(phaseExecute)
	s.op.got.ours = ours
	s.op.got.sets(f, ours, 1)
	c.io(abi.IORows, 1)
}

// ownStream tells whether an open stream has a transaction of its own, which the session's state does not show.
func (s *Session) ownStream() bool { return s.stream != nil && s.stream.own }

// endStream ends the open stream before its last row. It returns false when that must be waited for.
// No request to cancel is made: it would abort the caller's transaction.
func (s *Session) endStream(c *Call) bool {
	st := s.stream
	s.stream = nil
	if !st.own {
		s.portals = append(s.portals, st.portal())
		return true
	}
	s.own()
	s.op.ended = st
	s.endTransaction(c, "COMMIT")
	return false
}

// endTransaction ends the transaction of a stream's own.
func (s *Session) endTransaction(c *Call, command string) {
	s.op.commits = command == "COMMIT"
	if s.nests() {
		s.portals = append(s.portals, s.op.ended.portal())
		s.transact(c, command, phaseStreamEnd)
		return
	}
	c.Head = wire.AppendQuery(c.Head, command)
	s.beginIO(phaseStreamEnd)
	c.io(0, 1)
}

// streamed takes in a chunk's outcome. After the last row a transaction of the stream's own ends at
// once, so that an error of its COMMIT is raised where the rows are read.
func (s *Session) streamed(c *Call) {
	got, st := &s.op.got, s.stream
	was := s.tx.server
	if !st.own {
		s.ready(got)
	}
	s.forgetStatements(got)
	if got.fault == nil && got.empty {
		got.fault = emptyFault(st.statement.SQL)
	}
	if fault := s.refused(was, got); fault != nil {
		c.Stream, s.stream = 0, nil
		c.fail(fault)
		return
	}
	if got.fault == nil && got.suspended && !c.has(abi.InCancelled) {
		c.Stream = st.number
		c.done(int64(s.op.chunk))
		return
	}
	if s.op.op == abi.OpFetch && got.fault != nil {
		if s.altered(c) {
			s.reshape(c) // the portal is older than the guards' savepoint
			return
		}
		s.op.statement = nil // it is not run anew
	}
	c.Stream = 0
	s.stream = nil
	switch {
	case !st.own && got.fault != nil:
		s.statementFailed(c)
		return
	case !st.own:
		// Even one that has given its last row keeps its tables from being dropped or altered.
		s.portals = append(s.portals, st.portal())
		c.done(got.tagRows)
		return
	}
	s.op.ended, s.op.undo, s.op.rows = st, got.fault, got.tagRows
	if s.op.again = s.altered(c); s.op.again {
		s.outdated()
	} else {
		s.op.again = got.fault != nil && s.stale()
	}
	switch {
	case got.status == 'I': // BEGIN failed, or the statement has ended the transaction
		got.fault = nil
		s.streamEnded(c)
	case got.fault != nil:
		s.endTransaction(c, "ROLLBACK")
	default:
		s.endTransaction(c, "COMMIT")
	}
}

// streamEnded follows the end of a transaction of a stream's own.
func (s *Session) streamEnded(c *Call) {
	got := &s.op.got
	fault := s.op.undo
	if fault == nil {
		fault = got.fault
	}
	switch {
	case got.status == 'E' && got.fault != nil && s.op.undo == nil: // the COMMIT was cancelled before it began
		s.op.undo = got.fault
		s.endTransaction(c, "ROLLBACK")
	case got.status != 'I':
		c.fail(s.lose("a stream's transaction did not end", true))
	case s.op.again:
		s.op.again, s.op.undo = false, nil
		if s.nests() { // the guard has gone with the stream's transaction
			s.op.statement = nil
			s.acquire(c)
			return
		}
		s.relearn(c)
	case fault != nil:
		fault.SQL = s.op.ended.statement.SQL
		s.told = true
		c.fail(fault)
	case s.op.statement == nil && s.op.op != abi.OpFetch && s.op.op != abi.OpStreamEnd:
		s.dispatch(c) // the stream was in the way of an operation that begins only now
	default:
		c.Stream = 0
		c.done(s.op.rows)
	}
}
