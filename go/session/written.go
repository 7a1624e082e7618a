package session

import (
	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/process"
	"hypern/go/sqltext"
)

// Where an alias has a replica, the server is asked for the end of its log behind whatever commits. The question has a
// Sync of its own, and its answer is read once the commit's has been: neither its failure nor its silence changes what
// the commit's caller gets.

// trail is what an operation does for that.
type trail struct {
	trailed bool  // the question was sent in the same write as what is under way
	resumes phase // phasePosition: what goes on once the answer is there
	ran     bool  // something of the caller's was sent
	learned bool  // written covers it
	asked   bool  // by a write of its own
	// phaseReplay: when the replica is waited for no longer, from its first answer on.
	waitEnds process.Moment
	waitOver process.Moment // when the caller's timeout is, if there is one
}

// writtenWaitMS bounds the wait for the answer. Its connection is dropped then.
const writtenWaitMS = 1000

// tracks reports whether the session has to know the end of the log behind its commits.
func (s *Session) tracks() bool { return s.root.Replica() != nil && !s.reads && !s.nested }

// follow appends the question to what is about to be sent, of which it is the end.
func (s *Session) follow(dst []byte) []byte {
	s.op.trailed = true
	return s.conn.AppendAskWritten(dst, true)
}

// followed reads the answer to the question that has followed what is under way. It returns false if C has to wait
// for it.
func (s *Session) followed(c *Call) bool {
	if !s.op.trailed {
		return true
	}
	rows, sound, done := s.conn.TakeAnswer()
	if !done {
		s.op.resumes, s.op.phase = s.op.phase, phasePosition
		c.wait(s.conn.FD(), writtenWaitMS)
		return false
	}
	s.op.trailed = false
	s.learn(rows, sound)
	return true
}

// resumeFollowed goes on with what is under way once there may be an answer.
func (s *Session) resumeFollowed(c *Call) {
	if c.has(abi.InTimeout) {
		s.conn.Break()
	}
	s.op.phase = s.op.resumes
	if s.followed(c) {
		s.goOn(c)
	}
}

func (s *Session) learn(rows [][]string, sound bool) {
	if sound && len(rows) == 1 {
		if p, ok := s.conn.Written(rows[0]); ok {
			s.written, s.unasked, s.op.learned = p, false, true
			return
		}
	}
	s.conn.ForgetAskWritten()
	s.unasked = true
}

// asksWritten returns whether the operation that is about to end may have committed something and has not asked for
// the end of the log yet. Then it is prolonged.
func (s *Session) asksWritten(c *Call) bool {
	if !s.tracks() || s.op.asked {
		return false
	}
	undoes := s.op.op == abi.OpRollback || s.op.op == abi.OpUndo || s.op.op == abi.OpRollbackTo
	s.unasked = s.unasked || s.op.ran && !undoes && !s.op.learned && s.conn != nil && s.conn.Tx() == 'I'
	if !s.unasked || s.conn == nil || s.conn.Tx() != 'I' || s.tx.owed || s.stream != nil || s.copy != nil {
		return false
	}
	s.op.asked = true
	if !s.conn.Usable() || s.conn.Cancelling() {
		s.written, s.unasked = connection.Unreachable, false
		return false
	}
	s.op.outcome = outcome{c.Want, c.Count, c.Fault}
	c.Fault, c.Tail, s.op.prefix = nil, c.Tail[:0], 0
	c.Head = s.conn.AppendAskWritten(c.Head[:0], false)
	s.beginIO(phaseAsk)
	c.io(abi.IORaw, 1)
	return true
}

// askedWritten ends the operation that asksWritten has prolonged. why: the connection is of no more use.
func (s *Session) askedWritten(c *Call, why string) {
	if why != "" {
		s.conn.Break()
	}
	got := &s.op.got
	if s.learn(got.data, why == "" && got.fault == nil); s.unasked {
		s.written, s.unasked = connection.Unreachable, false
	}
	s.op.phase = phaseNone
	c.Want, c.Count, c.Fault = s.op.outcome.want, s.op.outcome.count, s.op.outcome.fault
}

// losesTrack follows the loss of the connection. ran: what was under way may have run.
func (s *Session) losesTrack(ran bool) {
	if s.tracks() && (s.unasked || ran && (!s.tx.active() || s.op.commits)) {
		s.written, s.unasked = connection.Unreachable, false
	}
}

// reportWritten has C know the end of the log, as far as it is known.
func (s *Session) reportWritten(c *Call) {
	if s.written.LSN != 0 {
		c.Written = s.written
	}
}

// sendsCallers notes whether an I/O that begins sends anything of the caller's that may commit.
func (s *Session) sendsCallers() {
	switch s.op.phase {
	case phaseExecute, phaseRows, phaseRowsEnd, phaseScript, phaseScriptEnd, phaseBatch, phaseStreamEnd, phaseCopyData, phaseCopyOut:
		s.op.ran = true
	case phaseVerdict:
		s.op.ran = s.op.ran || s.op.commits
	}
}

// followsStatement returns whether the question can follow a statement, which commits by itself: behind a BEGIN it
// would be the transaction's first statement, behind a COPY FROM STDIN the end of the connection.
func (s *Session) followsStatement() bool {
	return s.tracks() && !s.tx.active() && verbOf(s.op.sql) != verbBegin && sqltext.CopyWay(s.op.sql) == sqltext.NoCopy
}

// commitTail appends what follows a COMMIT.
func (s *Session) commitTail(c *Call) {
	if s.tracks() {
		c.Head = s.follow(c.Head)
	}
}
