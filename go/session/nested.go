package session

import (
	"strings"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

// The sessions of a nested pool take turns on its one connection, which is inside a transaction that is
// never committed: a session has the connection for one operation. What is a transaction or a savepoint to
// the session is a level to the connection (connection.Nest). Here, and nowhere else, transaction commands become
// levels: those of the core and those in the caller's SQL (transact, in mapped.go). The answer is then given the
// tag and the status of the command itself.
//
// A statement runs in a savepoint of its own, the guard, so that its failure aborts the transaction of its
// session and no other's. Outside a transaction of the session, deferred constraints are checked behind it.
// In an aborted transaction the guard is aborted at once, so that the server itself refuses what is to be refused.

// nest is what a session of a nested pool has open.
type nest struct {
	tx       uint64 // the level that is its transaction, or its stream's own; 0: none is open
	readOnly bool   // the transaction is so
	chained  bool   // AND CHAIN has begun it
	// unchecked: constraints that other sessions have deferred were broken as the statement began.
	unchecked bool
	entered   uint64   // the number of the block entered last, while nothing has been done in it
	left      []uint64 // levels of blocks that nobody has entered, to be released
}

// nests returns whether the session is one of a nested pool.
func (s *Session) nests() bool { return s.nested }

// needsTurn returns whether the operation about to start needs the connection.
func (s *Session) needsTurn() bool {
	switch s.op.op {
	case abi.OpStatement, abi.OpMany, abi.OpStream, abi.OpFetch, abi.OpBegin, abi.OpEnter, abi.OpScript, abi.OpCopyIn, abi.OpCopyOut:
		return true
	}
	return s.tx.active() && !s.tx.lost || s.stream != nil || len(s.nest.left) > 0
}

// turn goes on with an operation that has the connection.
func (s *Session) turn(c *Call) {
	switch {
	case s.op.then != nil && s.setsGuard() && s.opensByItself():
		s.own()
		s.transact(c, phaseScope, s.scope.begin)
		return
	case s.op.then != nil && s.setsGuard():
		s.setGuard(c)
		return
	case s.op.then != nil:
		s.op.then.begin(s, c)
		return
	}
	if s.lostLevel() && s.tx.server == 'T' {
		s.tx = s.tx.transition(evReady, 'E')
		s.savepoints, s.told = s.savepoints[:0], false
		s.first = interfaceFault("the test's one connection was rolled back to before this transaction: one that had " +
			"begun earlier, in another session, was rolled back")
	}
	s.nest.entered = 0
	switch op := s.op.op; {
	case op == abi.OpFetch:
		s.setGuard(c)
	case (op == abi.OpStatement || op == abi.OpStream) && verbOf(s.op.sql) == verbTwoPhase:
		c.fail(interfaceFault("two-phase commit cannot be undone; mark the test with hypern_commits"))
	default:
		s.route(c)
	}
}

// setsGuard returns whether the guard is to be set ahead of the operation.
func (s *Session) setsGuard() bool {
	switch s.op.op {
	case abi.OpStatement, abi.OpMany, abi.OpStream, abi.OpScript, abi.OpCopyIn, abi.OpCopyOut:
		return true
	}
	return false
}

// lostLevel returns whether the session's transaction is gone, rolled back from outside it.
func (s *Session) lostLevel() bool {
	return s.nests() && s.nest.tx != 0 && !s.conn.Nest().Levels.Has(s.nest.tx)
}

// leaveLevel forgets a level in which nothing was done; it is released with what is sent next.
func (s *Session) leaveLevel(number uint64) {
	s.nest.left = append(s.nest.left, number)
	if s.nest.tx == number {
		s.nest.tx, s.nest.readOnly = 0, false
	}
}

// unenter forgets the block entered last, in which nothing has been done.
func (s *Session) unenter(b block) {
	if b.savepoint == "" {
		s.leaveLevel(s.nest.tx)
		s.tx = s.tx.transition(evReady, 'I').transition(evRolledBack, 0)
	} else if i := s.find(b.savepoint); i >= 0 {
		s.leaveLevel(s.savepoints[i].level)
		s.savepoints = s.savepoints[:i]
	}
}

// begun follows the BEGIN or SAVEPOINT of an operation that may have been abandoned meanwhile, or failed.
func (o *opening) begun(s *Session, fault *wire.Fault) *wire.Fault {
	enters := s.op.op == abi.OpEnter
	switch {
	case enters && fault != nil:
		s.dropBlock(s.placeOf(o.block))
	case enters:
		s.nest.entered = o.block
	case fault == nil && s.op.cancelled:
		s.unenter(block{})
		return cancelledFault("before the transaction began")
	}
	return fault
}

// rest is the SQL that comes first, whatever is sent.
func (s *Session) rest() []string {
	sql := s.conn.Rest()
	n := s.conn.Nest()
	for _, number := range s.nest.left {
		var release string
		if release, n.Levels = n.Levels.Release(number); release != "" {
			sql = append(sql, release)
		}
	}
	s.nest.left = nil
	return sql
}

// setGuard sets the guard. A command that is owed, the release of a savepoint that is gone, fails there.
func (s *Session) setGuard(c *Call) {
	s.own()
	n := s.conn.Nest()
	sql := s.rest()
	commits := s.tx.server == 'I' && s.op.op != abi.OpFetch
	shared := n.Levels.Shared()
	if s.op.op == abi.OpStream && s.nest.tx == 0 && !commandsTransaction(s.op.sql) {
		var set string
		s.nest.tx = n.Number()
		set, n.Levels = n.Levels.Push(s.nest.tx, s.nest.tx)
		sql = append(sql, set)
	}
	sql = append(sql, connection.SetGuard)
	n.Guarded = true
	var then string
	switch {
	case s.tx.server == 'E':
		sql = append(sql, connection.FailSQL)
	case s.nest.readOnly:
		sql = append(sql, "SET LOCAL transaction_read_only = on")
	case commits && shared: // what the others have broken so far is theirs to mend
		sql = append(sql, connection.CheckNowSQL)
		then = connection.UndoToGuard
	}
	for _, cmd := range s.prelude.pending {
		if len(cmd.values) == 0 { // else it is pending anew
			sql = append(sql, cmd.sql)
		}
	}
	s.prelude.clear()
	zs := s.closePortalsAhead(c) + 1
	c.Head = wire.AppendQuery(c.Head, strings.Join(sql, ";"))
	if then != "" {
		c.Head = wire.AppendQuery(c.Head, then)
		zs++
	}
	s.beginIO(phaseTurn)
	c.io(0, zs)
}

// guardSet goes on behind setGuard.
func (s *Session) guardSet(c *Call) {
	fault := s.op.got.fault
	switch {
	case s.tx.server == 'E':
	case s.op.got.status == 'E':
		s.ready(&s.op.got)
		fault.SQL, s.told = s.op.sql, true
		c.fail(fault)
		return
	case s.op.op != abi.OpFetch:
		s.nest.unchecked = fault != nil
	}
	if s.op.cancelled {
		c.fail(cancelledFault("before the statement was sent"))
		return
	}
	s.op.got, s.op.prefix = answer{}, 0
	if s.op.op == abi.OpFetch {
		s.op.kind.start(s, c)
		return
	}
	s.op.then.begin(s, c)
}

// scopeOpened goes on behind the BEGIN of an atomic scope.
func (s *Session) scopeOpened(c *Call) {
	got := &s.op.got
	s.ready(got)
	if got.fault != nil {
		s.told = true
		c.fail(got.fault)
		return
	}
	s.op.got, s.op.prefix = answer{}, 0
	s.turn(c)
}

// settleSettings has the settings that other sessions have left on the connection set back, and the scope's set,
// ahead of the statement: what is local to a transaction outlasts a level.
func (s *Session) settleSettings() {
	n := s.conn.Nest()
	s.prelude.clear()
	var stale []string
	for _, name := range n.Set {
		if !hasSetting(s.scope.settings, name) {
			stale = append(stale, name)
		}
	}
	if len(stale) > 0 {
		s.prelude.pending = append(s.prelude.pending, command{sql: setBackLocalSQL, values: []string{"{" + strings.Join(stale, ",") + "}"}})
	}
	n.Set = n.Set[:0]
	if s.scope.set.sql == "" || s.tx.aborted() {
		return
	}
	s.prelude.pending = append(s.prelude.pending, s.scope.set)
	for _, set := range s.scope.settings {
		n.Set = append(n.Set, set.name)
	}
}

// setBackLocalSQL sets settings to what they were when the connection was made, the role first.
const setBackLocalSQL = `SELECT 1 FROM (SELECT n FROM pg_catalog.unnest($1::pg_catalog.text[]) n ` +
	`ORDER BY pg_catalog.textne(n, 'role'), n OFFSET 0) s WHERE pg_catalog.set_config(n, coalesce(` +
	`(SELECT p.reset_val FROM pg_catalog.pg_settings p WHERE p.name OPERATOR(pg_catalog.=) n), CASE WHEN pg_catalog.texteq(n, 'role') THEN 'none' ELSE '' END), true) IS NULL`

// uninterruptible returns whether what runs is not to be cancelled on the server: if a savepoint cannot be
// set, there is none to go back to. It takes no time.
func (s *Session) uninterruptible() bool { return s.op.mapped != nil || s.op.phase == phaseTurn }

// checksDeferred returns whether deferred constraints are to be checked before the operation ends: a
// statement outside a transaction commits by itself.
func (s *Session) checksDeferred(c *Call) bool {
	if !s.nests() || s.conn == nil || !s.conn.Nest().Guarded || s.conn.Tx() != 'T' || s.nest.tx != 0 ||
		c.Want != abi.WantDone || s.nest.unchecked || !s.setsGuard() || s.op.op == abi.OpStream {
		return false
	}
	s.op.outcome = outcome{abi.WantDone, c.Count, nil}
	c.Head = c.Head[:0]
	s.sendQuery(c, phaseCheck, connection.CheckSQL+";"+connection.ReleaseGuard)
	return true
}

// deferredChecked ends the operation that checksDeferred has prolonged.
func (s *Session) deferredChecked(c *Call) {
	if fault := s.op.got.fault; fault != nil {
		fault.SQL = s.op.sql
		c.fail(fault)
		return
	}
	s.conn.Nest().Guarded = false
	c.done(s.op.outcome.count)
}

// endTurn gives the connection to the next in turn.
func (s *Session) endTurn(c *Call) {
	if s.op.op == abi.OpFinalize && c.Want == abi.WantFail && c.Fault.SQLState != wire.StateQueryCanceled {
		s.close() // there is no connection to end anything on
	}
	if s.conn == nil {
		return
	}
	if s.nest.tx != 0 && !s.tx.active() && s.stream == nil { // a stream that was not opened
		s.leaveLevel(s.nest.tx)
	}
	s.pool.Release(s.conn)
	s.conn = nil
}

// within returns whether the server is inside a transaction that the operation did not begin.
func (s *Session) within() bool { return s.tx.server != 'I' || s.nests() }
