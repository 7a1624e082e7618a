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

// ownStream returns whether an open stream has a transaction of its own, which the session's state does not show.
func (s *Session) ownStream() bool { return s.stream != nil && s.stream.own }

// streaming receives a chunk of a stream: the first one, or a further one.
type streaming struct {
	preparation
	further bool
	chunk   int32 // most rows to receive
}

func newStreaming(c *Call) *streaming {
	o := &streaming{further: c.Op == abi.OpFetch, chunk: chunk(c.Chunk)}
	o.init(c, o)
	return o
}

// opened returns whether the stream that a call names is open.
func (s *Session) opened(c *Call) bool {
	open := s.stream != nil && s.stream.number == c.Stream
	if open {
		s.op.sql, s.op.owned = s.stream.statement.SQL, true
	}
	return open
}

func (o *streaming) start(s *Session, c *Call) {
	switch {
	case !o.further:
		o.preparation.start(s, c)
	case s.opened(c):
		o.fetch(s, c)
	default:
		c.fail(interfaceFault("the stream has ended, with rows left: a session's next statement, commit or rollback " +
			"ends its open stream"))
	}
}

func (o *streaming) resume(s *Session, c *Call) {
	if s.op.phase == phaseExecute {
		o.received(s, c)
		return
	}
	o.preparation.resume(s, c)
}

// send opens the stream, or asks for the next chunk once types have been learned anew.
func (o *streaming) send(s *Session, c *Call, guarded bool) {
	if o.further {
		s.stream.statement = o.statement
		o.fetch(s, c)
		return
	}
	if s.streams++; s.nests() { // others have streams on the connection, too
		s.streams = s.conn.Nest().Number()
	}
	st := &stream{number: s.streams, statement: o.statement, own: !s.tx.active()}
	s.stream = st
	o.run(s, c, guarded, cursor{portal: st.portal(), begins: st.own && !s.nests(), chunk: o.chunk})
}

// fetch asks for the next chunk. Between two chunks others may have altered a type, and the server sends
// composites by its attributes as they are by now: so guards go with each.
func (o *streaming) fetch(s *Session, c *Call) {
	st := s.stream.statement
	guarded, ours := s.guarded(st), 0
	s.op.prefix, o.guards.sent, o.guards.saved = 0, 0, guarded
	if guarded {
		o.statement, o.declared = st, st.Declared
		if !o.prepareGuards(s, c) {
			return
		}
		c.Head = s.appendShapeSavepoint(c.Head)
		c.Head, ours = o.appendGuards(s, c.Head, true)
		c.Head = appendRelease(c.Head)
		c.Guards, ours = int(o.guards.sent), ours+2
	}
	f := s.lacks(format(c.Flags&formatFlags), "", true, false)
	if f != 0 {
		c.Head = appendFormat(c.Head, f, true)
	}
	c.Head = wire.AppendExecuteChunk(c.Head, s.stream.portal(), o.chunk)
	c.Head = wire.AppendSync(endFormat(c.Head, f, s.stream.portal(), true))
	s.beginIO(phaseExecute)
	s.op.running = st
	s.op.got.ours = ours
	s.op.got.sets(f, ours, 1)
	c.io(abi.IORows, 1)
}

// received takes in a chunk's outcome. After the last row a transaction of the stream's own ends at
// once, so that an error of its COMMIT is raised where the rows are read.
func (o *streaming) received(s *Session, c *Call) {
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
		c.done(int64(o.chunk))
		return
	}
	if o.further && got.fault != nil {
		if o.altered(s, c) {
			o.reshape(s, c) // the portal is older than the guards' savepoint
			return
		}
		o.statement = nil // it is not run anew
	}
	c.Stream = 0
	s.stream = nil
	switch {
	case !st.own && got.fault != nil:
		o.failed(s, c)
		return
	case !st.own:
		// Even one that has given its last row keeps its tables from being dropped or altered.
		s.portals = append(s.portals, st.portal())
		c.done(got.tagRows)
		return
	}
	end := &streamEnd{stream: st, fault: got.fault, rows: got.tagRows}
	if o.altered(s, c) {
		end.anew = &o.preparation
		o.outdated(s)
	} else if got.fault != nil && o.stale(s) {
		end.anew = &o.preparation
	}
	switch {
	case got.status == 'I': // BEGIN failed, or the statement has ended the transaction
		got.fault = nil
		end.ended(s, c)
	case got.fault != nil:
		end.send(s, c, "ROLLBACK")
	default:
		end.send(s, c, "COMMIT")
	}
}

// closing ends a stream before its last row.
type closing struct{}

func (closing) start(s *Session, c *Call) {
	if !s.opened(c) || s.endStream(c, false) {
		c.Stream = 0
		c.done(0)
	}
}

func (closing) resume(*Session, *Call) {}

// endStream ends the open stream before its last row. It returns false when that must be waited for.
// No request to cancel is made: it would abort the caller's transaction. inTheWay: an operation begins once
// it has ended.
func (s *Session) endStream(c *Call, inTheWay bool) bool {
	st := s.stream
	s.stream = nil
	if !st.own {
		s.portals = append(s.portals, st.portal())
		return true
	}
	s.own()
	(&streamEnd{stream: st, inTheWay: inTheWay}).send(s, c, "COMMIT")
	return false
}

// streamEnd is the end of a transaction of a stream's own.
type streamEnd struct {
	stream   *stream
	inTheWay bool         // the operation starts only behind it
	anew     *preparation // the statement was stale: it is run anew
	fault    *wire.Fault  // what to report
	rows     int64        // what the last chunk held
}

func (e *streamEnd) send(s *Session, c *Call, command string) {
	s.op.ending = e
	if s.nests() {
		s.portals = append(s.portals, e.stream.portal())
		s.transact(c, phaseStreamEnd, command)
		return
	}
	s.sendQuery(c, phaseStreamEnd, command)
	s.op.commits = command == verbCommit
}

// ended follows the answer to COMMIT or ROLLBACK.
func (e *streamEnd) ended(s *Session, c *Call) {
	got := &s.op.got
	fault := e.fault
	if fault == nil {
		fault = got.fault
	}
	switch {
	case got.status == 'E' && got.fault != nil && e.fault == nil: // the COMMIT was cancelled before it began
		e.fault = got.fault
		e.send(s, c, "ROLLBACK")
	case got.status != 'I':
		c.fail(s.lose("a stream's transaction did not end", true))
	case e.anew != nil && s.nests(): // the guard has gone with the stream's transaction
		s.acquire(c)
	case e.anew != nil:
		e.anew.relearn(s, c)
	case fault != nil:
		fault.SQL = e.stream.statement.SQL
		s.finish(c, fault)
	case e.inTheWay:
		s.op.kind.start(s, c)
	default:
		c.Stream = 0
		c.done(e.rows)
	}
}
