package session

import (
	"strings"

	"hypern/go/connection"
	"hypern/go/wire"
)

// mapped is a transaction command that runs as something else.
type mapped struct {
	tag      string // what the session gets if it succeeds
	status   byte   // and the status behind it
	levels   connection.Levels
	undo     string // what is sent where it fails, which ends the transaction
	undone   connection.Levels
	fault    *wire.Fault // why undo was sent
	tx       uint64      // the session's level if it succeeds
	readOnly bool
	chained  bool
	level    uint64 // SAVEPOINT: which it is
}

// transact runs a transaction command, one of the core's own or the caller's: the only place that sends one.
// then: the RELEASE of the savepoint that the command goes back to, or none.
func (s *Session) transact(c *Call, p phase, command string, then ...string) {
	if p == phaseVerdict {
		s.op.sql = command
	}
	sql := s.rest()
	if s.refuses(command) {
		s.conn.Nest().Guarded = true
		s.sendMapped(c, nil, append(sql, connection.SetGuard, command), p)
		return
	}
	m, instead := s.mapped(command, len(then) > 0)
	s.sendMapped(c, m, append(sql, instead...), p)
	s.op.commits = command == verbCommit || m.tag == verbCommit && p == phaseVerdict
}

// refuses returns whether the server is to refuse a transaction command itself: in an aborted transaction, or
// one that names a savepoint which is not there.
func (s *Session) refuses(command string) bool {
	aborted := s.tx.server == 'E'
	switch verbOf(command) {
	case verbBegin, verbSavepoint:
		return aborted
	case verbRelease:
		return aborted || !s.conn.Nest().Levels.Has(s.levelOf(command))
	case verbRollbackTo:
		return !s.conn.Nest().Levels.Has(s.levelOf(command))
	}
	return false
}

// finalizeNested ends the session's transaction.
func (s *Session) finalizeNested(c *Call, commit bool) {
	if s.stream != nil {
		s.portals = append(s.portals, s.stream.portal())
	}
	command := verbRollback
	if commit {
		command = verbCommit
	}
	s.sendCommands(c, command)
}

// transacts runs the caller's statement if it is a transaction command. False: it is none, or the server
// refuses it.
func (s *Session) transacts(c *Call, sql string) bool {
	verb := verbOf(sql)
	open := s.nest.tx != 0
	named := verb == verbSavepoint || verb == verbRelease || verb == verbRollbackTo
	switch {
	case named && nameIn(sql) == "":
		c.fail(&wire.Fault{Kind: wire.KindNotSupported, SQL: sql, Message: "the name of a savepoint cannot have Unicode " +
			"escapes while a test's sessions share a connection"})
		return true
	case verb == "" && s.tx.server != 'E' && setsTransaction(sql):
		s.nest.readOnly = open && (s.nest.readOnly || isReadOnly(sql))
		c.done(0)
		return true
	case verb == "":
		return false
	case !open && (named || isChained(sql)):
		what := verb
		switch {
		case isChained(sql):
			what += " AND CHAIN"
		case verb != verbSavepoint:
			what += " SAVEPOINT"
		}
		c.fail(&wire.Fault{SQLState: wire.StateNoActiveTransaction, SQL: sql,
			Message: what + " can only be used in transaction blocks"})
		return true
	case open && verb == verbBegin && s.tx.server == 'T': // a warning, but its options count
		s.nest.readOnly = s.nest.readOnly || isReadOnly(sql)
		c.done(0)
		return true
	case !open && verb != verbBegin: // a warning is all it does
		c.done(0)
		return true
	}
	if s.refuses(sql) {
		return false
	}
	c.Stream = 0
	s.transact(c, phaseVerdict, sql)
	return true
}

// mapped is what stands for a transaction command, and the SQL to send for it. drops: the savepoint that it goes
// back to is released, too.
func (s *Session) mapped(command string, drops bool) (*mapped, []string) {
	levels := s.conn.Nest().Levels
	tx, aborted := s.nest.tx, s.tx.server == 'E'
	m := &mapped{tag: verbOf(command), status: 'T', tx: tx, readOnly: s.nest.readOnly, chained: s.nest.chained}
	var sql string
	switch m.tag {
	case verbBegin:
		sql = s.pushTransaction(m, levels)
		m.readOnly, m.chained = isReadOnly(command), false
	case verbCommit:
		m.undo, m.undone = levels.Drop(tx)
		sql, m.levels = levels.Release(tx)
		if s.tx.active() || !s.nest.unchecked {
			sql = strings.Trim(connection.CheckSQL+";"+sql, ";")
		}
		if aborted {
			m.tag, sql, m.levels, m.undo = verbRollback, m.undo, m.undone, ""
		}
		m.endTransaction(s, command, &sql)
	case verbRollback:
		sql, m.levels = levels.Drop(tx)
		m.endTransaction(s, command, &sql)
	case verbSavepoint:
		m.level = s.conn.Nest().Number()
		sql, m.levels = levels.Push(m.level, tx)
	case verbRelease, verbRollbackTo:
		number := s.levelOf(command)
		switch {
		case m.tag == verbRelease:
			sql, m.levels = levels.Release(number)
		case drops:
			sql, m.levels = levels.Drop(number)
		default:
			sql, m.levels = levels.Back(number)
		}
		if m.tag == verbRollbackTo {
			m.tag = verbRollback
		}
	}
	if sql == "" {
		return m, nil
	}
	return m, []string{sql}
}

// pushTransaction opens the level of a transaction.
func (s *Session) pushTransaction(m *mapped, levels connection.Levels) (sql string) {
	m.tx = s.conn.Nest().Number()
	sql, m.levels = levels.Push(m.tx, m.tx)
	return sql
}

// endTransaction: the command ends the transaction, and begins another one where it says AND CHAIN, of the
// same kind. The server has forgotten what kind an aborted one was, unless an earlier AND CHAIN began it or
// it was aborted inside a savepoint.
func (m *mapped) endTransaction(s *Session, command string, sql *string) {
	m.status, m.tx = 'I', 0
	if isChained(command) {
		m.status, m.chained = 'T', true
		m.readOnly = m.readOnly && (s.nest.chained || s.tx.server != 'E' || len(s.savepoints) > 0)
		*sql = strings.Trim(*sql+";"+s.pushTransaction(m, m.levels), ";")
	} else {
		m.readOnly = false
	}
}

// levelOf is the level of the savepoint that a command names; 0: there is none.
func (s *Session) levelOf(command string) uint64 {
	if i := s.find(nameIn(command)); i >= 0 {
		return s.savepoints[i].level
	}
	return 0
}

func (s *Session) sendMapped(c *Call, m *mapped, sql []string, p phase) {
	zs := s.closePortalsAhead(c)
	c.Head = wire.AppendQuery(c.Head, strings.Join(sql, ";"))
	s.beginIO(p)
	c.io(0, zs+1)
	s.op.prefix, s.op.mapped = 0, m
}

// followsMapped takes in what the server has answered in place of a transaction command. True: more has to
// be sent.
func (s *Session) followsMapped(c *Call) bool {
	m, got, n := s.op.mapped, &s.op.got, s.conn.Nest()
	switch {
	case m == nil:
		return false
	case got.fault != nil && m.undo != "" && m.fault == nil:
		m.fault = got.fault
		m.levels, m.tx, m.status, m.readOnly = m.undone, 0, 'I', false
		commits := s.op.commits
		s.sendQuery(c, s.op.phase, m.undo)
		s.op.commits = commits
		return true
	case got.fault != nil: // there is no more to it than savepoints
		s.op.mapped = nil
		return false
	}
	n.Levels, s.nest.tx, s.nest.readOnly, s.nest.chained = m.levels, m.tx, m.readOnly, m.chained
	*got = answer{fault: m.fault, commands: 1, binds: 1, last: m.tag, status: m.status, mapped: true, level: m.level}
	s.op.mapped = nil
	return false
}
