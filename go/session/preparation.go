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

// preparation gets a statement ready to be sent: the connection knows it and C has encoded for what it knows;
// else C encodes for it; else the server describes it first. Then its sender sends it.
type preparation struct {
	of        sender
	statement *connection.Statement // nil before it was found, or parsed
	declared  []uint32              // the types declared for the parameters; nil: the server infers all
	naming    []uint32              // phaseDescribe: the types whose names were asked for along with it
	guess     uint64                // the description that C has encoded for
	now       process.Moment        // when the statement was looked for; 0 before that
	guards    guards

	reparse    bool
	registered bool // the caller has converters for types, by their names
	inside     bool // a transaction was open on the server when the operation began
	fresh      bool // described in this operation, so that an error is no sign of staleness
	retried    bool
	columns    bool // phaseTypes: the columns of tables were asked for
}

// sender is a kind of operation that has a statement prepared.
type sender interface {
	acquirer
	// send sends the statement with the parameters that C has encoded. guarded: guards go with it.
	send(s *Session, c *Call, guarded bool)
	// giveUp ends the operation before the statement is sent, and undoes what it has sent before.
	giveUp(s *Session, c *Call, fault *wire.Fault)
	// ofRow names in a fault the row for whose values the statement was described.
	ofRow(fault *wire.Fault) *wire.Fault
}

func (p *preparation) init(c *Call, of sender) {
	*p = preparation{}
	p.of, p.reparse, p.registered = of, c.has(abi.InReparse), c.has(abi.InRegistered)
	if len(c.Declared) > 0 {
		p.declared = slices.Clone(c.Declared)
	}
	if c.has(abi.InGuess) {
		p.guess = c.Plan
	}
}

func (p *preparation) start(s *Session, c *Call) {
	if s.fit(c) {
		s.acquireFor(c, p.of)
	}
}

func (p *preparation) begin(s *Session, c *Call) {
	p.statement, p.fresh = nil, false
	s.enterScope()
	p.find(s, c)
}

func (*preparation) giveUp(_ *Session, c *Call, fault *wire.Fault) { c.fail(fault) }

func (*preparation) ofRow(fault *wire.Fault) *wire.Fault { return fault }

func (p *preparation) resume(s *Session, c *Call) {
	switch s.op.phase {
	case phaseEncode:
		p.encoded(s, c)
	case phaseDescribe:
		p.described(s, c)
	case phaseTypes:
		p.typesDescribed(s, c)
	case phaseGuard:
		p.guardsPrepared(s, c)
	case phaseLook:
		p.looked(s, c)
	case phaseReshape:
		p.reshaped(s, c)
	case phaseVerdict: // nested: the statement is a transaction command
		s.finish(c, s.verdict("", nil))
	}
}

// find takes the statement from those that the connection has prepared, or has the server describe it.
func (p *preparation) find(s *Session, c *Call) {
	p.inside = s.within()
	st := p.known(s, s.conn)
	if s.prelude.encodes() { // C needs to know the settings first
		st, p.guess = nil, 0
	}
	if st == nil || p.reparse {
		p.describe(s, c)
		return
	}
	p.use(s, st)
	p.encodeOrSend(s, c)
}

func (p *preparation) use(s *Session, st *connection.Statement) {
	p.statement, s.op.sql, s.op.owned = st, st.SQL, true
}

// known is the statement as conn has it in its cache, nil if the server has to parse it.
func (p *preparation) known(s *Session, conn *connection.Conn) *connection.Statement {
	st := conn.Statements().Get(s.op.sql, p.declared)
	if st == nil || st.Catalog != conn.Catalog() {
		return nil // the text may use an altered type that is neither a parameter's nor a column's
	}
	if p.now == 0 {
		p.now = process.Now()
	}
	if s.op.partly && !st.ParsedSince(p.now) {
		return nil // it could not be sent anew if it were stale
	}
	if conn.Statements().Expired(st, p.now, p.registered) {
		return nil
	}
	return st
}

// encodeOrSend asks C for the parameters unless it has encoded them for this very description.
func (p *preparation) encodeOrSend(s *Session, c *Call) {
	if p.guess == p.statement.Plan {
		p.ready(s, c)
		return
	}
	p.encode(s, c)
}

// encode asks C for the parameters.
func (p *preparation) encode(s *Session, c *Call) {
	st := p.statement
	s.op.phase, p.guards.refused = phaseEncode, false
	c.Want, c.Plan, c.Catalog = abi.WantEncode, st.Plan, st.Catalog.Number
	c.Out = append(c.Out, st.Description...)
	zone := s.conn.Parameter("TimeZone")
	c.Out = binary.NativeEndian.AppendUint32(c.Out, uint32(len(zone)))
	c.Out = append(c.Out, zone...)
	c.Out = binary.NativeEndian.AppendUint32(c.Out, uint32(4*len(st.Declared)))
	for _, oid := range st.Declared {
		c.Out = binary.NativeEndian.AppendUint32(c.Out, oid)
	}
}

// encoded goes on with the parameters, or with what C needs for them.
func (p *preparation) encoded(s *Session, c *Call) {
	switch {
	case c.Op == abi.OpTypes:
		p.describeTypes(s, c)
	case c.has(abi.InCancelled) && s.op.partly: // the caller has an error of its own
		p.of.giveUp(s, c, &wire.Fault{Kind: wire.KindOperational, Message: "the rows were not completed"})
	case c.has(abi.InDeclared):
		p.declare(s, c)
	default:
		p.guards.refused = c.has(abi.InReparse)
		p.guards.looking = p.guards.looking || p.guards.refused
		p.ready(s, c)
	}
}

// declare has the statement described for the types that its values want declared.
func (p *preparation) declare(s *Session, c *Call) {
	p.declared = slices.Clone(c.Declared)
	p.guess, p.fresh, p.reparse = 0, false, false
	p.find(s, c)
}

// describe has the server parse and describe the statement; a BEGIN that is pending goes with it, since
// an error here must leave the transaction aborted as any other error would.
func (p *preparation) describe(s *Session, c *Call) {
	s.own()
	sql := s.op.sql
	if strings.IndexByte(sql, 0) >= 0 { // it would end the text early on the wire
		c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: sql, Message: "the SQL text contains a NUL character"})
		return
	}
	if fault := refusedListen(sql); fault != nil {
		c.fail(fault)
		return
	}
	s.remember(sql)
	st := p.parse(s)
	c.Head = s.sendPrelude(c.Head, false)
	c.Head = wire.AppendParse(c.Head, st.Name, s.conn.Statements().Commented(sql), st.Declared)
	c.Head = wire.AppendDescribe(c.Head, 'S', st.Name)
	p.appendNames(s, c, s.conn.Statements().Since(st))
	s.sendSync(c, phaseDescribe, p.rawFlag())
}

// parse makes the statement that the server is about to parse.
func (p *preparation) parse(s *Session) *connection.Statement {
	sql, kept := s.op.sql, s.conn.Statements()
	if p.now == 0 {
		p.now = process.Now()
	}
	if old := kept.Get(sql, p.declared); old != nil {
		kept.Forget(old)
	}
	st := &connection.Statement{SQL: sql, Declared: p.declared, Effect: sqltext.Examine(sql, s.conn.Reports),
		Catalog: s.conn.Catalog()}
	if s.conn.Cache() == connection.CacheNamed && !st.Effect.Volatile {
		st.Name = kept.NewName()
	}
	kept.Parsing(st, process.Now())
	p.use(s, st)
	p.fresh = true
	return st
}

// rawFlag is for a description along with which the server names types.
func (p *preparation) rawFlag() uint32 {
	if p.naming != nil {
		return abi.IORaw
	}
	return 0
}

// described takes in the server's description.
func (p *preparation) described(s *Session, c *Call) {
	got := &s.op.got
	if got.fault != nil && s.op.partly {
		p.of.giveUp(s, c, p.of.ofRow(hinted(got.fault, p.declared)))
		return
	}
	s.ready(got)
	if got.fault != nil {
		got.fault = p.of.ofRow(placeholderHint(hinted(got.fault, p.declared), s.op.sql))
		p.failed(s, c)
		return
	}
	if err := p.take(s, got.params, got.columns); err != nil {
		s.brokenIO(c, err.Error())
		return
	}
	p.encodeOrSend(s, c)
}

// take keeps the server's description.
func (p *preparation) take(s *Session, params, columns []byte) error {
	st := p.statement
	oids, err := wire.ParameterOIDs(params)
	if err != nil {
		return err
	}
	st.OIDs = oids
	d := binary.NativeEndian.AppendUint32(nil, uint32(len(params)))
	d = append(d, params...)
	d = binary.NativeEndian.AppendUint32(d, uint32(len(columns)))
	st.Description = append(d, columns...)
	if p.naming != nil {
		p.named(s)
	}
	s.conn.SetPlan(st, s.conn.Statements().Since(st))
	if s.conn.Cache() != connection.CacheOff {
		s.conn.Statements().Put(st)
	}
	return nil
}

// ready goes on with the statement for whose description C has encoded.
func (p *preparation) ready(s *Session, c *Call) {
	st := p.statement
	s.remember(st.SQL)
	switch {
	case s.op.cancelled && s.op.partly:
		fault := cancelledFault("between two rows")
		fault.SafeToRetry = false // those before have run
		p.of.giveUp(s, c, fault)
		return
	case s.op.cancelled:
		c.fail(cancelledFault("before the statement was sent"))
		return
	case c.BodyLen > abi.TextMax:
		c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: st.SQL, Message: "the parameters take more than 1 GiB"})
		return
	}
	if s.nests() && s.transacts(c, st.SQL) {
		return
	}
	guarded := s.guarded(st)
	switch {
	case guarded && !p.prepareGuards(s, c):
	case guarded && p.guards.looking:
		p.look(s, c)
	case p.guards.refused:
		p.encode(s, c)
	default:
		p.of.send(s, c, guarded)
	}
}

// failed reports the server's error, or tries once more when the error can come from a statement that was
// cached: the schema may have changed since it was parsed.
func (p *preparation) failed(s *Session, c *Call) {
	got := &s.op.got
	if p.altered(s, c) {
		p.reshape(s, c)
		return
	}
	if p.stale(s) {
		if s.op.prefix > 0 {
			s.retrace()
		}
		p.describe(s, c)
		return
	}
	s.forgetStatements(got)
	if got.commands < s.op.prefix && got.status == 'I' {
		s.first = got.fault // BEGIN itself failed
		s.voidUnbegun()
	}
	p.hintCommit(s)
	s.explainPrelude(got.fault)
	s.explainAtomic(got.fault)
	got.fault.SQL = s.op.sql
	s.finish(c, got.fault)
}

// stale returns whether to run the statement anew, once, and forgets it if it may be stale.
func (p *preparation) stale(s *Session) bool {
	got, st := &s.op.got, p.statement
	stale := !p.fresh && got.fault.Kind == "" && got.fault.SQLState != wire.StateQueryCanceled &&
		(got.binds <= s.op.prefix || got.fault.SQLState == wire.StateFeatureNotSupported)
	switch {
	case got.fault.SQLState == wire.StateUndefinedStatement:
		s.conn.Statements().ForgetAll() // a DEALLOCATE ALL inside a function shows in nothing else
	case st != nil && (stale || p.fresh):
		s.conn.Statements().ForgetText(st.SQL) // inside a transaction too: its next run is to find it new
	}
	if !stale || st == nil || p.retried || p.inside || got.binds > s.op.prefix {
		return false
	}
	p.retried = true
	return true
}
