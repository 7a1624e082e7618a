package session

import (
	"strings"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

// A composite value crosses the wire by the position of its attributes, so that it means something else
// once they have been renamed. A statement that has any therefore carries guards: between its Bind, which
// takes the locks on its tables, and its Execute the server refuses to go on if an attribute is not what
// the parameters were encoded by and the rows will be read by. Inside a transaction Bind and guards run
// in a savepoint, which costs no transaction id as nothing is written in it.
const (
	shapeSavepoint = savepointWord + "hypern_shape"
	shapeRelease   = "RELEASE " + shapeSavepoint
	shapeRollback  = "ROLLBACK TO " + shapeSavepoint
	guardPortal    = "hypern_guard"
)

// guards are what is known of a statement's guards while it is prepared.
type guards struct {
	sent     uint16 // with the statement in this I/O
	reshapes uint8  // how often types were found altered
	saved    bool   // they run in a savepoint, or rows do, of a transaction that was open before
	looking  bool   // a value did not fit: they are to be looked at ahead of anything else
	refused  bool   // C has encoded nothing, since a value did not fit
	retraces bool   // phaseReshape: BEGIN is to be sent again
}

// reshapesMax is how often types may be found altered in one operation.
const reshapesMax = 3

// shape finds out what the statement takes for granted, once C knows its types.
func (s *Session) shape(st *connection.Statement) *connection.Shape {
	if st.Shape == nil || !st.Shape.Current() {
		_, columns, _ := wire.Columns(st.Columns()) // C has refused a description that cannot be read
		st.Shape = st.Catalog.Shape(append(columns, st.OIDs...))
	}
	return st.Shape
}

// guarded tells whether guards go with the statement.
func (s *Session) guarded(st *connection.Statement) bool {
	if s.tx.aborted() {
		return false // the server will not run it
	}
	shape := s.shape(st)
	return len(shape.Composites) > 0 || shape.Foreign && s.movable()
}

// movable tells whether a pooler may lead the connection to another server.
func (s *Session) movable() bool { return s.conn.Shared() && s.conn.Instance() != "" }

// prepareGuards has the server prepare what guards are missing; false: the step is over. What the server
// says of a new guard is compared with the catalog, so that nothing happens unnoticed in between.
func (p *preparation) prepareGuards(s *Session, c *Call) bool {
	if !s.conn.KeepsGuards() {
		return true
	}
	st := p.statement
	missing := s.conn.MissingGuards(s.shape(st))
	if len(missing) == 0 {
		return true
	}
	c.Head = s.conn.AppendAccept(c.Head, guardPortal)
	for _, oid := range missing {
		c.Head = s.conn.AppendGuard(c.Head, st.Catalog, oid)
	}
	s.op.prefix = 0
	s.sendSync(c, phaseGuard, 0)
	return false
}

// guardsPrepared takes in the descriptions of new guards and goes on with the statement.
func (p *preparation) guardsPrepared(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	if s.op.partly && (got.fault != nil || !p.matched(s, c)) {
		p.of.giveUp(s, c, s.alteredFault()) // some of the rows have been encoded for the types as they were
		return
	}
	if got.fault != nil && got.status == 'I' && p.guards.reshapes < reshapesMax { // a type is gone
		p.reshape(s, c)
		return
	}
	if got.fault != nil {
		s.finish(c, got.fault)
		return
	}
	switch {
	case p.matched(s, c):
		p.ready(s, c)
	case p.guards.reshapes < reshapesMax:
		p.reshape(s, c)
	default:
		c.fail(s.alteredFault())
	}
}

// matched takes in what the server says of new guards: whether it is as the catalog says.
func (p *preparation) matched(s *Session, c *Call) bool {
	st, answers := p.statement, frames(c.Ctl, 'T')
	for i, oid := range s.conn.MissingGuards(s.shape(st)) {
		if i >= len(answers) || !s.conn.Guarded(st.Catalog, oid, answers[i]) {
			return false
		}
	}
	return true
}

// appendGuards appends the guards of a statement. It returns how many commands that makes. late: the
// server's transaction did not begin right before, so that it may not have seen what others have altered.
func (p *preparation) appendGuards(s *Session, dst []byte, late bool) ([]byte, int) {
	shape := s.shape(p.statement)
	late = late && len(shape.Composites) > 0
	if !s.conn.KeepsGuards() {
		return p.appendExecutedGuards(s, dst, shape, late)
	}
	commands := 0
	if late {
		dst = s.conn.AppendAccept(dst, guardPortal)
		commands++
	}
	p.guards.sent += uint16(len(shape.Composites))
	return s.conn.AppendGuards(dst, shape), commands
}

// appendGuardsAround appends the guards of execute_many: before the rows, while they can be encoded anew;
// and behind them, since the locks that the first of them has waited for may have been those of an ALTER.
func (o *many) appendGuardsAround(s *Session, c *Call) {
	if o.ahead = 0; !s.op.partly {
		var commands int
		c.Out, commands = o.appendGuards(s, c.Out, o.guards.saved)
		s.op.prefix += commands
		o.ahead = o.guards.sent
	}
	c.Tail, _ = o.appendGuards(s, c.Tail, true)
}

// appendShapeSavepoint begins the savepoint of the guards.
func (s *Session) appendShapeSavepoint(dst []byte) []byte {
	s.op.prefix++
	return appendCommand(dst, shapeSavepoint)
}

// appendRelease ends the savepoint of the guards. It has a portal of its own, since the statement waits in
// the unnamed one.
func appendRelease(dst []byte) []byte {
	dst = wire.AppendBindValues(wire.AppendParse(dst, "", shapeRelease, nil), guardPortal, "", nil)
	return wire.AppendClose(wire.AppendExecuteChunk(dst, guardPortal, 0), 'P', guardPortal)
}

// frames are the bodies of a step's frames of one kind.
func frames(ctl []byte, kind byte) (bodies [][]byte) {
	for {
		f, rest, whole, err := wire.Next(ctl)
		if err != nil || !whole {
			return bodies
		}
		if f.Kind == kind {
			bodies = append(bodies, f.Body)
		}
		ctl = rest
	}
}

// passed counts the guards that held.
func (s *Session) passed(c *Call) uint16 { return uint16(len(frames(c.Ctl, abi.Guarded))) }

// altered tells whether the statement was not begun because a type is not what it was encoded for: a
// guard failed, or Bind refused a value of the type. A guard that fails again and again is an error.
func (p *preparation) altered(s *Session, c *Call) bool {
	got := &s.op.got // its columns are described behind the guards, which have held then
	if p.statement == nil || p.guards.sent == 0 || got.columns != nil || got.fault == nil || got.fault.Kind != "" ||
		s.passed(c) >= p.guards.sent || got.commands < s.op.prefix {
		return false
	}
	if got.binds <= s.op.prefix {
		return s.misfits(got.fault.SQLState) && p.guards.reshapes == 0
	}
	if broken(got.fault.SQLState) && p.guards.reshapes >= reshapesMax {
		got.fault = s.alteredFault()
		return false
	}
	return broken(got.fault.SQLState)
}

// misfits tells whether Bind's error can come from a composite type that was altered: one that is wrong
// in binary, or malformed in text. Behind a pooler the statement is parsed, too, on a server that may know
// other types.
func (s *Session) misfits(state string) bool {
	return state == wire.StateDatatypeMismatch || state == wire.StateInvalidText || s.movable() && strings.HasPrefix(state, "42")
}

// broken tells whether an error that came where a guard was looked at is the guard's: not one of those
// that the server may raise anywhere.
func broken(state string) bool {
	for _, class := range []string{"08", "25", "40", "53", "57", "58"} {
		if strings.HasPrefix(state, class) {
			return false
		}
	}
	return true
}

// look has the server look at the guards alone: a value does not fit the types as C knows them.
func (p *preparation) look(s *Session, c *Call) {
	p.guards.sent, s.op.prefix, p.guards.saved = 0, 0, s.tx.server == 'T' || s.nests()
	if p.guards.saved {
		c.Head = s.appendShapeSavepoint(c.Head)
	}
	c.Head, _ = p.appendGuards(s, c.Head, p.guards.saved)
	if p.guards.saved {
		c.Head = appendRelease(c.Head)
	}
	c.Guards = int(p.guards.sent)
	s.sendSync(c, phaseLook, 0)
}

// looked goes on with a statement once the guards have been looked at. Where they hold, the value is C's
// to refuse.
func (p *preparation) looked(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	p.guards.looking = false
	switch {
	case got.fault == nil:
		s.op.prefix = 0
		p.ready(s, c)
	case p.guards.reshapes < reshapesMax && got.commands >= s.op.prefix && broken(got.fault.SQLState):
		p.reshape(s, c)
	default:
		if got.commands >= s.op.prefix && broken(got.fault.SQLState) {
			got.fault = s.alteredFault()
		}
		s.finish(c, got.fault)
	}
}

// alteredFault is for types that are altered again and again, or that the transaction cannot see as they
// are, since its snapshot is older.
func (s *Session) alteredFault() *wire.Fault {
	return &wire.Fault{SQLState: wire.StateSerializationFailure, SQL: s.op.sql,
		Message: "a composite type of the statement is not as this transaction sees it: another session has altered it; " +
			"run the transaction again"}
}

// outdated forgets what the failed statement was encoded by.
func (p *preparation) outdated(s *Session) {
	got, st := &s.op.got, p.statement
	p.guards.reshapes++
	p.guards.looking, p.guards.refused = false, false
	if got.fault != nil && got.fault.SQLState == wire.StateUndefinedStatement {
		s.conn.LostStatements()
	} else {
		s.conn.RenewCatalog(st.Catalog, s.tx.server != 'I' && !s.nests()) // which no other connection can see
		s.conn.Statements().Forget(st)
	}
}

// reshape has the statement described and its types learned anew, behind a rollback to the savepoint
// that its guards ran in.
func (p *preparation) reshape(s *Session, c *Call) {
	got := &s.op.got
	p.outdated(s)
	switch {
	case p.guards.saved && got.status == 'E':
		c.Head = appendCommand(appendCommand(c.Head, shapeRollback), shapeRelease)
	case !p.guards.saved && s.op.prefix > 0 && s.movable() && got.status != 'I':
		c.Head = appendCommand(c.Head, "ROLLBACK")
		p.guards.retraces = true // it is retraced once that is done
	case !p.guards.saved && s.op.prefix > 0:
		s.retrace()
	}
	p.relearn(s, c)
}

// relearn has the statement described once more, after what c.Head holds; behind a pooler, on the server
// that it leads to now.
func (p *preparation) relearn(s *Session, c *Call) {
	s.op.prefix = 0
	if s.movable() {
		c.Head = wire.AppendParse(c.Head, "", connection.InstanceSQL, nil)
		c.Head = wire.AppendExecute(wire.AppendBindNothing(c.Head, ""))
	}
	if len(c.Head) == 0 {
		p.describe(s, c)
		return
	}
	s.sendSync(c, phaseReshape, abi.IORaw)
}

// reshaped follows reshape's commands.
func (p *preparation) reshaped(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	if got.fault != nil {
		s.finish(c, got.fault)
		return
	}
	if p.guards.saved {
		s.first = nil // the error that the guard made
	}
	if p.guards.retraces {
		p.guards.retraces = false
		s.retrace()
	}
	if s.movable() && len(got.data) == 1 && len(got.data[0]) == 1 {
		s.conn.MoveTo(got.data[0][0])
	}
	p.describe(s, c)
}
