package session

import (
	"strings"

	"hypern/go/abi"
	"hypern/go/process"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// openCopy is a COPY TO STDOUT whose data has not all been received. The server sends it without a pause, so that
// nothing else can run on the connection: what comes next on the session ends the COPY first.
type openCopy struct {
	number uint64
	sql    string
	saved  bool // it is behind a savepoint of its own, since its end before the last row is an error to the server
}

// copySavepoint is the savepoint of a COPY TO STDOUT inside a transaction.
const copySavepoint = "hypern_copy"

// copyingOut receives a chunk of a COPY TO STDOUT: the first one, or a further one. Encoded, C has rows in place of
// data; the operation's text is the query, which is described for the types of its columns.
type copyingOut struct {
	preparation
	encoded bool
	further bool
	saved   bool
}

func newCopyingOut(c *Call) *copyingOut {
	o := &copyingOut{encoded: c.has(abi.InEncoded)}
	o.init(c, o)
	o.reparse = true
	return o
}

// copied returns whether the open COPY is the one that the call is for.
func (s *Session) copied(c *Call) bool {
	return c.Op == abi.OpFetch && s.copy != nil && s.copy.number == c.Stream
}

func (o *copyingOut) start(s *Session, c *Call) {
	switch {
	case o.further:
		s.op.sql, s.op.owned = s.copy.sql, true
		s.beginIO(phaseCopyOut)
		c.io(abi.IOData, 1)
	case !o.encoded && sqltext.CopyWay(s.op.sql) != sqltext.CopyOut:
		c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: s.op.sql,
			Message: "copy_out_raw() runs a COPY ... TO STDOUT, and this is none"})
	case s.fit(c):
		s.acquireFor(c, o)
	}
}

func (o *copyingOut) begin(s *Session, c *Call) {
	if o.encoded {
		o.preparation.begin(s, c)
		return
	}
	s.enterScope()
	o.open(s, c)
}

func (o *copyingOut) resume(s *Session, c *Call) {
	if s.op.phase == phaseCopyOut {
		o.received(s, c)
		return
	}
	o.preparation.resume(s, c)
}

// send sends the COPY of the query whose columns C decodes.
func (o *copyingOut) send(s *Session, c *Call, _ bool) {
	query := strings.TrimRight(s.op.sql, "; \t\r\n")
	s.op.sql, s.op.owned = "COPY (\n"+query+"\n) TO STDOUT "+binaryFormat, true
	o.open(s, c)
}

func (o *copyingOut) open(s *Session, c *Call) {
	s.own()
	s.remember(s.op.sql)
	c.Head = s.sendPrelude(c.Head, false)
	ours := s.op.prefix
	o.saved = s.tx.active() && !s.nests()
	if o.saved {
		c.Head = appendCommand(c.Head, "SAVEPOINT "+copySavepoint)
		ours++
	}
	if o.encoded && !s.tx.active() { // the tables may have been altered since: from here to the Sync they cannot be
		c.Head = wire.AppendParse(c.Head, "", o.statement.SQL, nil)
		c.Head = wire.AppendDescribe(c.Head, 'S', "")
	}
	c.Head = appendCommand(c.Head, s.op.sql)
	if o.saved {
		c.Head = appendCommand(c.Head, "RELEASE "+copySavepoint)
	}
	c.Head = wire.AppendSync(c.Head)
	s.beginIO(phaseCopyOut)
	s.op.got.ours = ours
	flags := uint32(abi.IOData)
	if s.nests() { // others have their turn on the connection
		flags |= abi.IOWhole
	}
	c.io(flags, 1)
}

func (o *copyingOut) received(s *Session, c *Call) {
	got := &s.op.got
	var altered *wire.Fault // C has read no row then
	if got.columns != nil && !wire.SameColumns(got.columns, o.statement.Columns()) {
		altered = &wire.Fault{SQLState: wire.StateFeatureNotSupported, SQL: s.op.sql,
			Message: "the columns of the result have changed since it was described; copy it again"}
	}
	switch {
	case got.status == 0 && !c.has(abi.InPaused):
		s.brokenIO(c, "the server ended a COPY in the middle")
		return
	case got.status == 0 && got.fault != nil: // its ReadyForQuery is on its way
		c.io(0, 1)
		return
	case got.status == 0:
		if !o.further {
			s.streams++
			s.copy = &openCopy{number: s.streams, sql: s.op.sql, saved: o.saved}
		}
		if altered != nil || c.has(abi.InCancelled) { // its number will not be returned
			s.endCopy(c, false)
			s.op.copyEnd.fault = altered
			return
		}
		c.Stream = s.copy.number
		c.done(0)
		return
	}
	c.Stream, s.copy = 0, nil
	s.ready(got)
	s.forgetStatements(got)
	if got.fault == nil {
		got.fault = altered
	}
	if got.fault != nil {
		o.copyFailed(s, c, got.fault)
		return
	}
	c.done(got.rows)
}

// copyEnd is the end of a COPY before its last row. What is left may be endless, so that it is cancelled.
type copyEnd struct {
	inTheWay bool        // the operation starts only behind it
	fault    *wire.Fault // why it ends, as the operation's outcome; or nil
	saved    bool
	aborted  bool // the savepoint is to be rolled back to
}

func (s *Session) endCopy(c *Call, inTheWay bool) {
	s.own()
	s.op.copyEnd = &copyEnd{inTheWay: inTheWay, saved: s.copy.saved}
	s.copy = nil
	if s.op.event == nil {
		if event, err := process.NewEvent(); err == nil { // else all of it is received, and dropped
			s.op.event = event
			s.askToCancel(event, cancelAgain)
		}
	}
	s.beginIO(phaseCopyEnd)
	c.io(0, 1)
}

// drained follows the end of the server's answer.
func (e *copyEnd) drained(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	s.forgetStatements(got)
	s.unasked = s.unasked || s.tracks() && got.status == 'I' // its last row may have come: it has committed
	e.aborted = e.saved && got.status == 'E'
	e.calmed(s, c)
}

// calmed goes on once no request to cancel is under way.
func (e *copyEnd) calmed(s *Session, c *Call) {
	event := s.op.event
	switch {
	case event != nil && s.conn.Cancelling() && c.has(abi.InTimeout):
		c.fail(s.lose("a COPY could not be ended in time", false))
		return
	case event != nil && s.conn.Cancelling():
		s.op.phase = phaseCopyCalm
		c.wait(event.FD(), -1)
		return
	case event != nil:
		event.Close()
		s.op.event = nil
	}
	if e.aborted {
		s.sendQuery(c, phaseCopyUndo, "ROLLBACK TO "+copySavepoint+";RELEASE "+copySavepoint)
		return
	}
	e.over(s, c)
}

// undone follows the rollback to the savepoint.
func (e *copyEnd) undone(s *Session, c *Call) {
	if s.op.got.fault != nil {
		c.fail(s.lose("a COPY could not be undone", false))
		return
	}
	s.tx, s.first = s.tx.transition(evReady, s.op.got.status), nil
	e.over(s, c)
}

func (e *copyEnd) over(s *Session, c *Call) {
	s.op.phase, s.op.got, s.op.prefix = phaseNone, answer{}, 0
	if e.inTheWay {
		s.op.kind.start(s, c)
		return
	}
	c.Stream = 0
	if e.fault != nil {
		c.fail(e.fault)
		return
	}
	c.done(0)
}
