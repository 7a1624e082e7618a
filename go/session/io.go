package session

import (
	"syscall"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

// notReset is why a connection cannot be used whose reset has failed.
const notReset = "what the request before had set could not be reset"

// resumeIO takes in what an I/O brought and continues the phase it belongs to.
func (s *Session) resumeIO(c *Call) {
	if why := s.receive(c, s.op.phase.raw()); s.op.phase == phaseAsk {
		s.askedWritten(c, why)
		return
	} else if why != "" {
		if s.op.phase == phaseFarewell {
			s.conn.Break() // a rollback and a reset are done by the server when the connection ends
			s.op.kind.resume(s, c)
			return
		}
		if why == notReset || s.notBegun(c) {
			s.retryOnNewConnection(c)
			return
		}
		s.brokenIO(c, why)
		return
	}
	if (s.op.phase == phaseCopy || s.op.phase == phaseCopyOut) && s.op.got.status == 0 {
		s.op.kind.resume(s, c)
		return
	}
	if s.op.got.copying != 0 && s.op.got.status == 0 {
		s.refuseCopy(c)
		return
	}
	if s.op.refused {
		s.refusedCopy(c)
		return
	}
	if s.op.got.status == 0 && s.op.phase != phaseFarewell {
		s.checkColumns()
		c.io(s.rowsFlag(), 1) // a RowDescription ended the I/O early: go on receiving
		return
	}
	if s.followed(c) {
		s.goOn(c)
	}
}

// goOn continues the phase whose answer is complete.
func (s *Session) goOn(c *Call) {
	if s.op.mapped != nil && s.followsMapped(c) {
		return
	}
	switch s.op.phase {
	case phaseStreamEnd:
		s.op.ending.ended(s, c)
	case phaseCopyEnd:
		s.op.copyEnd.drained(s, c)
	case phaseCopyUndo:
		s.op.copyEnd.undone(s, c)
	case phaseEncoding:
		s.encodingRestored(c)
	case phaseScope:
		s.scopeOpened(c)
	case phaseTurn:
		s.guardSet(c)
	case phaseCheck:
		s.deferredChecked(c)
	default:
		s.op.kind.resume(s, c)
	}
}

func (s *Session) rowsFlag() uint32 {
	if (s.op.phase == phaseExecute || s.op.phase == phaseScript) && s.op.got.fault == nil {
		return abi.IORows
	}
	return 0
}

// checkColumns compares the result's columns with those that C decodes for. They differ only where a
// remembered description is used for a statement parsed anew; its rows are then dropped unread.
func (s *Session) checkColumns() {
	got := &s.op.got
	if s.op.phase == phaseExecute && got.columns != nil && got.fault == nil &&
		!wire.SameColumns(got.columns, s.op.running.Columns()) {
		got.fault = &wire.Fault{SQLState: wire.StateFeatureNotSupported,
			Message: "the columns of the result have changed since the statement was described; it has run"}
	}
}

// receive reads the step's frames into the operation's answer. It returns why the connection is of
// no more use, or "".
func (s *Session) receive(c *Call, raw bool) string {
	got := &s.op.got
	ctl := c.Ctl
	if s.conn.ResetPrecedes() {
		var ok bool
		if ctl, ok = s.conn.CollectReset(ctl); !ok {
			return notReset
		}
	}
	got.binds += int(c.Binds)
	var follows listener = s.conn
	if s.op.listener != nil {
		follows = s.op.listener
	}
	err := got.read(ctl, raw, s.op.running, follows)
	if got.status != 0 {
		s.conn.Ready(got.status)
		if s.conn.Refused() { // the reset that preceded it; nothing of it is committed
			return notReset
		}
	}
	switch {
	case err != nil:
		return err.Error()
	case c.has(abi.InEOF):
		if got.fault != nil { // the server's goodbye says more than how the socket ended
			return got.fault.Message
		}
		if c.has(abi.InTimeout) {
			return s.unanswered()
		}
		if c.Errno != 0 {
			return syscall.Errno(c.Errno).Error()
		}
		return "the server closed it"
	case s.conn.Killed() != nil && got.fault != nil:
		return "it was closed" // an answer without an error stands: the work was done before
	}
	if len(c.Extra) > 0 {
		s.conn.Unread(c.Extra)
	}
	return ""
}

// refuseCopy ends a COPY that came through a statement call.
func (s *Session) refuseCopy(c *Call) {
	got := &s.op.got
	got.fault = copyFault(s.op.sql)
	kind := got.copying
	got.copying = 0
	switch {
	case kind == 'G' && s.op.phase == phaseScript: // a Query has its ReadyForQuery without a Sync
		c.Head = wire.AppendCopyFail(c.Head, "not supported")
		c.io(0, 1)
	case kind == 'G':
		// A server that reads copy data passes over what was sent behind the statement; one that failed first, in a
		// trigger for instance, answers it. So an empty query marks the end of what it answers.
		got.empty, s.op.refused, s.op.trailed = false, true, false
		c.Head = wire.AppendCopyFail(c.Head, "not supported")
		c.Head = wire.AppendQuery(wire.AppendSync(c.Head), "")
		s.refusedCopy(c)
	case kind == 'H':
		if s.op.phase == phaseRows { // none was sent
			c.Head = wire.AppendSync(c.Head)
		}
		c.io(0, 1)
	default:
		s.brokenIO(c, "the server started a replication stream")
	}
}

// refusedCopy receives up to the answer to the empty query, and then its ReadyForQuery.
func (s *Session) refusedCopy(c *Call) {
	const several = 8 // ReadyForQuery messages; the I/O ends at what comes ahead of the last one
	s.op.got.copying = 0
	if s.op.refused = !s.op.got.empty; s.op.refused {
		c.io(abi.IOCopy, several)
	} else {
		c.io(0, 1)
	}
}

// brokenIO ends an operation whose connection is lost.
func (s *Session) brokenIO(c *Call, why string) {
	ran := s.op.partly || s.mayHaveRun(c) && !s.saidGoodbye()
	s.op.phase = phaseNone
	said := s.op.got.fault
	fault := s.lose(why, ran)
	if said != nil && fault.Kind == wire.KindConnectionLost {
		fault.SQLState, fault.Cause = said.SQLState, said
	}
	fault.SQL = s.op.sql
	s.told = true
	if s.op.op == abi.OpFinalize {
		s.close()
	}
	c.fail(fault)
}

// notBegun tells whether the connection had ended before the session's first use of it, so that another
// one serves the statement as well: that is tried once.
func (s *Session) notBegun(c *Call) bool {
	nothing := c.Sent == 0 || s.saidGoodbye()
	switch s.op.phase {
	case phaseDescribe, phaseExecute, phaseScriptBegin, phaseBatchDescribe, phaseBatch, phaseCopy, phaseCopyOut:
	default:
		return false
	}
	if !s.unused || !nothing || s.op.moved || s.op.cancelled || s.conn.Killed() != nil || s.op.event != nil {
		return false
	}
	s.op.moved = true
	return true
}

// mayHaveRun tells whether the server may have run the statement, or some of it.
func (s *Session) mayHaveRun(c *Call) bool {
	switch {
	case s.op.phase == phaseProbe, s.op.phase == phaseReplay, s.op.phase.describes():
		return s.op.op == abi.OpFetch
	case s.op.phase == phaseStreamEnd, s.op.phase == phaseCalm, s.op.phase == phaseScriptSettings, s.op.phase == phaseScriptEnd:
		return true
	case s.op.phase == phaseCopyData:
		return true
	case s.op.phase == phaseScript && s.op.partly:
		return true
	}
	// A stream runs from its first chunk on; a RowDescription has begun another I/O, which sends nothing.
	return c.Sent > 0 || s.op.op == abi.OpFetch || s.op.got.columns != nil
}

// saidGoodbye tells whether the server ended the connection before it came to the statement: it
// answers in order, and has not answered Bind. A pooler in between may say so of its own accord.
func (s *Session) saidGoodbye() bool {
	got := &s.op.got
	sent := s.op.op == abi.OpStatement && s.op.phase == phaseExecute || s.op.phase == phaseBatch
	return sent && s.conn.Cache() == connection.CacheNamed &&
		got.binds <= s.op.prefix && got.fault != nil && got.fault.Fatal() && got.fault.SQLState == wire.StateAdminShutdown
}

func copyFault(sql string) *wire.Fault {
	return &wire.Fault{Kind: wire.KindNotSupported, SQL: sql,
		Message: "COPY FROM STDIN and COPY TO STDOUT are not run by this method: use copy_in() or copy_in_raw(), copy_out() or copy_out_raw()"}
}
