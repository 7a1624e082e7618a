package session

import (
	"encoding/binary"
	"slices"
	"strings"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/process"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// statement decides how the SQL of the operation is sent: at once if the connection knows it and C
// has encoded for what it knows; else C encodes for it; else the server describes it first.
func (s *Session) statement(c *Call) {
	st := s.known(s.conn)
	if st == nil || s.op.reparse {
		s.describe(c)
		return
	}
	s.op.statement, s.op.sql = st, st.SQL
	s.encodeOrExecute(c)
}

// known is the operation's statement as conn has it in its cache, nil if the server has to parse it.
func (s *Session) known(conn *connection.Conn) *connection.Statement {
	st := conn.Statements().Get(s.op.sql, s.op.declared)
	if st == nil || st.Catalog != conn.Catalog() {
		return nil // the text may use an altered type that is neither a parameter's nor a column's
	}
	if s.op.now == 0 {
		s.op.now = process.Now()
	}
	if s.op.more && !st.ParsedSince(s.op.now) {
		return nil // it could not be sent anew if it were stale
	}
	if conn.Statements().Expired(st, s.op.now, s.op.registered) {
		return nil
	}
	return st
}

// encodeOrExecute asks C for the parameters unless it has encoded them for this very description.
func (s *Session) encodeOrExecute(c *Call) {
	if s.op.guess == s.op.statement.Plan {
		s.execute(c)
		return
	}
	s.encodeFor(c)
}

// encodeFor asks C for the parameters.
func (s *Session) encodeFor(c *Call) {
	s.op.phase, s.op.refused = phaseEncode, false
	c.Want, c.Plan, c.Catalog = abi.WantEncode, s.op.statement.Plan, s.op.statement.Catalog.Number
	c.Out = append(c.Out, s.op.statement.Description...)
	zone := s.conn.Parameter("TimeZone")
	c.Out = binary.NativeEndian.AppendUint32(c.Out, uint32(len(zone)))
	c.Out = append(c.Out, zone...)
	declared := s.op.statement.Declared
	c.Out = binary.NativeEndian.AppendUint32(c.Out, uint32(4*len(declared)))
	for _, oid := range declared {
		c.Out = binary.NativeEndian.AppendUint32(c.Out, oid)
	}
}

// describe has the server parse and describe the statement; a BEGIN that is owed goes with it, since
// an error here must leave the transaction aborted as any other error would.
func (s *Session) describe(c *Call) {
	s.own()
	sql := s.op.sql
	if strings.IndexByte(sql, 0) >= 0 { // it would end the text early on the wire
		c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: sql, Message: "the SQL text contains a NUL character"})
		return
	}
	s.remember(sql)
	if s.op.now == 0 {
		s.op.now = process.Now()
	}
	if old := s.conn.Statements().Get(sql, s.op.declared); old != nil {
		s.conn.Statements().Forget(old)
	}
	st := &connection.Statement{SQL: sql, Declared: s.op.declared, Effect: sqltext.Examine(sql, s.conn.Reports),
		Catalog: s.conn.Catalog()}
	if s.conn.Cache() == connection.CacheNamed && !st.Effect.Volatile {
		st.Name = s.conn.Statements().NewName()
	}
	s.conn.Statements().Parsing(st, process.Now())
	s.op.sql, s.op.statement, s.op.fresh = sql, st, true
	c.Head = s.sendOwed(c.Head, false)
	c.Head = wire.AppendParse(c.Head, st.Name, sql, st.Declared)
	c.Head = wire.AppendDescribe(c.Head, 'S', st.Name)
	s.appendNames(c, s.conn.Statements().Since(st))
	c.Head = wire.AppendSync(c.Head)
	s.beginIO(phaseDescribe)
	c.io(s.rawFlag(), 1)
}

func (s *Session) beginIO(p phase) {
	s.op.phase = p
	s.op.got = answer{}
}

// sendOwed appends what precedes the next statement: closes of evicted statements, BEGIN, SAVEPOINT.
// kept: BEGIN may go by a prepared name, since the statement is run anew if that is gone (stale).
func (s *Session) sendOwed(dst []byte, kept bool) []byte {
	for _, name := range s.conn.Statements().TakeDropped() {
		dst = wire.AppendClose(dst, 'S', name)
	}
	dst = s.closePortals(dst)
	s.op.prefix = len(s.owed)
	for _, sql := range s.owed {
		named := false
		if kept && sql == "BEGIN" {
			dst, named = s.conn.AppendBegin(dst)
		}
		if !named {
			dst = appendCommand(dst, sql)
		}
	}
	s.sent, s.owed = s.owed, s.sent[:0]
	return dst
}

// closePortals appends the closes of streams that have ended.
func (s *Session) closePortals(dst []byte) []byte {
	for _, name := range s.portals {
		dst = wire.AppendClose(dst, 'P', name)
	}
	s.portals = s.portals[:0]
	return dst
}

// appendCommand appends a command that shares a unit with what follows: if it fails, the server skips
// that. It has no name, so that it cannot fail for the lack of one.
func appendCommand(dst []byte, sql string) []byte {
	return wire.AppendExecute(wire.AppendBindNothing(wire.AppendParse(dst, "", sql, nil), ""))
}

// declare has the statement described for the types that its values want declared.
func (s *Session) declare(c *Call) {
	s.op.declared = slices.Clone(c.Declared)
	s.op.sql, s.op.guess, s.op.fresh, s.op.reparse = s.op.statement.SQL, 0, false, false
	s.op.inside = s.within()
	s.statement(c)
}

// ofRow names in the fault the row of execute_many for whose values the statement was described.
func (s *Session) ofRow(fault *wire.Fault) *wire.Fault {
	if row := int64(s.op.before); s.op.op == abi.OpMany && len(s.op.declared) > 0 {
		fault.Row = &row
	}
	return fault
}

// described takes in the server's description.
func (s *Session) described(c *Call) {
	got := &s.op.got
	if s.op.more && got.fault != nil {
		s.undoRows(c, s.ofRow(hinted(got.fault, s.op.declared)))
		return
	}
	s.ready(got)
	if got.fault != nil {
		got.fault = s.ofRow(placeholderHint(hinted(got.fault, s.op.declared), s.op.sql))
		s.statementFailed(c)
		return
	}
	st := s.op.statement
	oids, err := wire.ParameterOIDs(got.params)
	if err != nil {
		s.brokenIO(c, err.Error())
		return
	}
	st.OIDs = oids
	d := binary.NativeEndian.AppendUint32(nil, uint32(len(got.params)))
	d = append(d, got.params...)
	d = binary.NativeEndian.AppendUint32(d, uint32(len(got.columns)))
	st.Description = append(d, got.columns...)
	if s.op.naming != nil {
		s.named(st)
	}
	s.conn.SetPlan(st, s.conn.Statements().Since(st))
	if s.conn.Cache() != connection.CacheOff {
		s.conn.Statements().Put(st)
	}
	s.encodeOrExecute(c)
}

// execute sends the statement for the body that C has encoded.
func (s *Session) execute(c *Call) {
	st := s.op.statement
	s.remember(st.SQL)
	switch {
	case s.op.cancelled && s.op.more:
		fault := cancelledFault("between two rows")
		fault.SafeToRetry = false // those before have run
		s.undoRows(c, fault)
		return
	case s.op.cancelled:
		c.fail(cancelledFault("before the statement was sent"))
		return
	case c.BodyLen > abi.TextMax:
		c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: st.SQL, Message: "the parameters take more than 1 GiB"})
		return
	}
	if s.nests() && s.transacts(c) {
		return
	}
	guarded := s.guarded(st)
	switch {
	case guarded && !s.prepareGuards(c, st):
		return
	case guarded && s.op.looking:
		s.look(c, st)
		return
	case s.op.refused:
		s.encodeFor(c)
		return
	}
	switch s.op.op {
	case abi.OpMany:
		s.rows(c)
		return
	case abi.OpFetch:
		s.stream.statement = st
		s.fetch(c)
		return
	}
	s.op.guess = st.Plan
	if s.conn.Unreset() {
		c.Head = s.conn.AppendResetAhead(c.Head)
	}
	inside := s.tx.active() || s.op.op == abi.OpStream || s.nests()
	f := s.lacks(format(c.Flags&formatFlags), st.SQL, inside)
	c.Head = s.sendOwed(c.Head, st.Name != "")
	s.op.guards = 0
	s.op.saved = guarded && (s.tx.server == 'T' || s.nests())
	if s.op.saved {
		c.Head = s.appendShapeSavepoint(c.Head)
	}
	portal := ""
	switch {
	case s.op.op == abi.OpStream:
		c.Head, portal = s.openStream(c.Head)
	case f != 0:
		portal = formatPortal
	}
	if st.Name == "" {
		// Behind a pooler the server that described is not the one that runs it; and a volatile
		// literal has the value of the moment it is parsed.
		c.Head = wire.AppendParse(c.Head, "", st.SQL, st.OIDs)
	}
	c.Head = wire.AppendBindHead(c.Head, portal, st.Name, c.BodyLen)
	ours := s.op.prefix // commands ahead of the statement's own
	if guarded {
		var commands int
		c.Tail, commands = s.appendGuards(c.Tail, st, s.op.saved)
		ours += commands
		c.Guards = int(s.op.guards)
		if s.op.saved {
			c.Tail = appendRelease(c.Tail)
			ours++
		}
	}
	if st.Name == "" {
		c.Tail = wire.AppendDescribe(c.Tail, 'P', portal)
	}
	c.Tail = wire.AppendExecuteChunk(beginFormat(c.Tail, f, portal, inside), portal, s.op.chunk)
	c.Tail = wire.AppendSync(endFormat(c.Tail, f, portal, inside))
	s.beginIO(phaseExecute)
	s.op.got.ours = ours
	s.op.got.sets(f, ours, formatCommands)
	c.io(abi.IOBody|abi.IORows, 1)
}

// executed takes in the statement's outcome.
func (s *Session) executed(c *Call) {
	got := &s.op.got
	if s.stream != nil {
		s.streamed(c)
		return
	}
	was := s.tx.server
	s.ready(got)
	if got.fault != nil {
		s.statementFailed(c)
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
	if got.status != 'I' && (s.ownRows() || s.ownStream() || s.tx.server == 'I' && s.nests() && !got.mapped) {
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

// statementFailed reports the server's error, or tries once more when the error can come from a
// statement that was cached: the schema may have changed since it was parsed.
func (s *Session) statementFailed(c *Call) {
	got := &s.op.got
	if s.altered(c) {
		s.reshape(c)
		return
	}
	if s.stale() {
		if s.op.prefix > 0 {
			s.retrace()
		}
		s.describe(c)
		return
	}
	s.forgetStatements(got)
	if got.commands < s.op.prefix && got.status == 'I' {
		s.first = got.fault // BEGIN itself failed
		s.voidUnbegun()
	}
	s.uncommitted(got)
	got.fault.SQL = s.op.sql
	s.told = true
	c.fail(got.fault)
}

// retrace undoes what went ahead of the statement and will send it once more.
func (s *Session) retrace() {
	if s.op.got.status != 'I' {
		s.owed = append(s.owed, "ROLLBACK")
	}
	s.owed = append(s.owed, s.sent...)
	s.first = nil
	s.tx = s.tx.transition(evBegin, 0)
}

// stale tells whether to run the statement anew, once, and forgets it if it may be stale.
func (s *Session) stale() bool {
	got, st := &s.op.got, s.op.statement
	stale := !s.op.fresh && got.fault.Kind == "" && got.fault.SQLState != wire.StateQueryCanceled &&
		(got.binds <= s.op.prefix || got.fault.SQLState == wire.StateFeatureNotSupported)
	switch {
	case got.fault.SQLState == wire.StateUndefinedStatement:
		s.conn.Statements().ForgetAll() // a DEALLOCATE ALL inside a function shows in nothing else
	case st != nil && (stale || s.op.fresh):
		s.conn.Statements().ForgetText(st.SQL) // inside a transaction too: its next run is to find it new
	}
	if !stale || st == nil || s.op.retried || s.op.inside || got.binds > s.op.prefix {
		return false
	}
	s.op.retried = true
	return true
}
