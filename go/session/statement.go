package session

import (
	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

// single is a statement whose rows are received in one I/O.
type single struct {
	preparation
	tagged bool   // the command tag is to be reported
	tag    string // once it is known
}

// readyToSend reports whether the statement can be sent to conn at once, without asking C or the server.
func (o *single) readyToSend(s *Session, c *Call, conn *connection.Conn) bool {
	if o.reparse || s.op.cancelled || c.BodyLen > abi.TextMax {
		return false
	}
	if s.scope != plain {
		conn.Statements().Ahead(s.localAhead(), false)
		defer conn.Statements().Ahead(nil, false)
	}
	st := o.known(s, conn)
	return st != nil && st.Plan == o.guess && st.Shape != nil && st.Shape.Current() &&
		len(conn.MissingGuards(st.Shape)) == 0
}

func (o *single) resume(s *Session, c *Call) {
	if s.op.phase == phaseExecute {
		o.ran(s, c)
	} else {
		o.preparation.resume(s, c)
	}
	if o.tagged && c.Want == abi.WantDone {
		o.tag = wire.Tag{Word: s.op.got.last, Rows: s.op.got.tagRows}.String()
	}
}

func (o *single) send(s *Session, c *Call, guarded bool) { o.run(s, c, guarded, cursor{}) }

// cursor is how rows are received: all at once, or in chunks through a portal that a stream has.
type cursor struct {
	portal string
	begins bool  // the stream has a transaction of its own
	chunk  int32 // most rows to receive; 0: all
}

// run sends the statement, and has its rows received.
func (p *preparation) run(s *Session, c *Call, guarded bool, cur cursor) {
	st, portal := p.statement, cur.portal
	inside := portal != "" || s.tx.active() || s.nests()
	p.guess = st.Plan
	c.Head = s.sendPrelude(c.Head, st.Name != "")
	f := s.lacks(format(c.Flags&formatFlags), st.SQL, inside, s.prelude.undoes())
	p.guards.sent = 0
	p.guards.saved = guarded && (s.tx.server == 'T' || s.nests())
	if p.guards.saved {
		c.Head = s.appendShapeSavepoint(c.Head)
	}
	if cur.begins {
		c.Head = appendCommand(c.Head, "BEGIN")
		s.op.prefix++
	}
	if portal == "" && f != 0 {
		portal = formatPortal
	}
	if st.Name == "" {
		// Behind a pooler the server that described is not the one that runs it; and a volatile
		// literal has the value of the moment it is parsed.
		c.Head = wire.AppendParse(c.Head, "", s.conn.Statements().Commented(st.SQL), st.OIDs)
	}
	c.Head = wire.AppendBindHead(c.Head, portal, st.Name, c.BodyLen)
	ours := s.op.prefix // commands ahead of the statement's own
	if guarded {
		var commands int
		c.Tail, commands = p.appendGuards(s, c.Tail, p.guards.saved)
		ours += commands
		c.Guards = int(p.guards.sent)
		if p.guards.saved {
			c.Tail = appendRelease(c.Tail)
			ours++
		}
	}
	if st.Name == "" {
		c.Tail = wire.AppendDescribe(c.Tail, 'P', portal)
	}
	c.Tail = wire.AppendExecuteChunk(beginFormat(c.Tail, f, portal, inside), portal, cur.chunk)
	c.Tail = wire.AppendSync(endFormat(c.Tail, f, portal, inside))
	s.beginIO(phaseExecute)
	if cur.portal == "" && s.followsStatement() {
		c.Tail = s.follow(c.Tail)
	}
	s.op.running = st
	s.op.got.ours = ours
	s.op.got.sets(f, ours, formatCommands)
	c.io(abi.IOBody|abi.IORows, 1)
}

// ran takes in the statement's outcome.
func (o *single) ran(s *Session, c *Call) {
	got := &s.op.got
	was := s.tx.server
	s.ready(got)
	if got.fault != nil {
		o.failed(s, c)
		return
	}
	s.forgetStatements(got)
	if got.empty {
		c.fail(emptyFault(s.op.sql))
	} else if fault := s.refused(was, got); fault != nil {
		c.fail(fault)
	} else {
		c.done(got.tagRows)
	}
}

func emptyFault(sql string) *wire.Fault {
	return &wire.Fault{Kind: wire.KindProgramming, SQL: sql, Message: "the SQL text holds no statement"}
}

// forgetStatements follows PREPARE, DEALLOCATE ALL and DISCARD ALL by SQL, as far as the tags tell.
func (s *Session) forgetStatements(got *answer) {
	if got.unseen || got.fault != nil {
		s.conn.RanUnseen()
	}
	if got.discarded {
		s.conn.Statements().Clear()
	}
	if got.prepared {
		s.conn.PreparedBySQL()
	}
}

// ready follows a ReadyForQuery: the state, and the verdict when a transaction ended.
func (s *Session) ready(got *answer) {
	if got.status != 'I' && (s.op.own || s.ownStream() || s.tx.server == 'I' && s.nests() && !got.mapped) {
		return
	}
	was := s.tx.server
	if was == 'I' && got.status != 'I' {
		s.first, s.told = nil, false // of an earlier transaction
	}
	if was == 'I' && s.op.prefix > 0 && got.commands > 0 {
		was = 'T' // our BEGIN went first
	}
	s.tx = s.tx.transition(evReady, got.status)
	if got.status == 'I' {
		s.conn.ShareCatalog()
	}
	s.ended(was, got)
	if got.status == 'E' && s.first == nil {
		s.first = got.fault
	}
}

// finish ends the operation with a fault of the server's, or without one.
func (s *Session) finish(c *Call, fault *wire.Fault) {
	if fault != nil {
		s.told = true
		c.fail(fault)
		return
	}
	c.done(0)
}
