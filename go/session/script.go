package session

import (
	"fmt"
	"slices"
	"strings"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// script is an execute_script under way. All of it is one simple Query, or, where it is not atomic, each
// statement is one. Before and after it the settings are read, and those that differ are set back.
type script struct {
	text     string
	parts    []sqltext.Part
	stepwise bool
	keeps    bool      // the settings are to be as before at its end
	custom   []string  // those among them that only the script names
	before   []setting // what they were
	entered  bool      // what the scope demands has been sent ahead of the next statement
	at       int       // the first statement of the Query under way
	done     int       // how many of the statements have completed
	ended    hooks     // what the first COMMIT or ROLLBACK of a stepwise script has decided
	fault    *wire.Fault
}

func (sc *script) start(s *Session, c *Call) {
	if s.fit(c) && sc.read(s, c) {
		s.acquireFor(c, sc)
	}
}

func (sc *script) resume(s *Session, c *Call) {
	switch s.op.phase {
	case phaseScriptBegin:
		sc.begun(s, c)
	case phaseScript:
		sc.ran(s, c)
	case phaseScriptSettings:
		sc.setBack(s, c)
	case phaseScriptEnd:
		sc.endedOwn(s, c)
	}
}

// read divides the script into its statements. It returns false when the step is over: there is nothing
// to run, or the script is refused before anything is sent.
func (sc *script) read(s *Session, c *Call) bool {
	text, parts, problem := sqltext.Split(strings.Clone(s.op.sql))
	if problem != nil {
		c.fail(refusedScript(s.op.sql, problem.Message, problem.Line, problem.Position))
		return false
	}
	s.op.sql, s.op.owned = text, true
	sc.text, sc.parts = text, parts
	for i, p := range parts {
		if fault := refusedListen(text[p.Start:p.End]); fault != nil {
			fault.Statement, fault.Line = i+1, sqltext.LineOf(text, p.Start)
			c.fail(fault)
			return false
		}
		if p.Control == "" || sc.stepwise && !s.nests() {
			continue
		}
		if sc.stepwise {
			c.fail(interfaceFault("%s in a script cannot be undone; mark the test with hypern_commits", p.Control))
			return false
		}
		line := sqltext.LineOf(text, p.Start)
		fault := refusedScript(text, fmt.Sprintf("line %d has %s, but a script is one transaction, or part of the open "+
			"one; remove it, or pass atomic=False to run the statements one by one", line, p.Control),
			line, sqltext.CharacterOf(text, p.Start))
		fault.Statement = i + 1
		c.fail(fault)
		return false
	}
	if len(parts) == 0 {
		c.done(0)
		return false
	}
	return true
}

func refusedScript(text, message string, line, position int) *wire.Fault {
	return &wire.Fault{Kind: wire.KindNotSupported, SQL: text, Message: message, Line: line, Position: position, SafeToRetry: true}
}

// begin sends what precedes the script: a BEGIN, and a look at the settings. A single statement is
// run as it is, since it may be one that no transaction takes; behind a pooler that shares its servers,
// any other gets a transaction all the same, or settings that it changes would be another client's.
func (sc *script) begin(s *Session, c *Call) {
	s.remember(sc.text)
	s.enterScope()
	open := s.tx.active()
	single := len(sc.parts) == 1 && (!s.conn.Shared() || takesNoTransaction(sc.text[sc.parts[0].Start:]))
	s.op.own = !sc.stepwise && !open && !single && !s.nests() // whose guard makes it atomic
	sc.keeps = s.tx.server != 'E' && (!s.conn.Shared() || s.op.own || open && !sc.stepwise)
	c.Head = s.sendPrelude(c.Head, false)
	if s.op.own {
		c.Head = appendCommand(c.Head, "BEGIN")
		s.op.prefix++
	}
	if sc.keeps {
		sc.custom = sqltext.CustomSettings(sc.text)
		c.Head = appendSettings(c.Head, sc.custom)
	}
	if len(c.Head) == 0 {
		sc.run(s, c)
		return
	}
	s.sendSync(c, phaseScriptBegin, abi.IORaw)
	s.op.got.ours = s.op.prefix + 1
}

// takesNoTransaction returns whether the server refuses to run a statement inside a transaction.
func takesNoTransaction(sql string) bool {
	scanner := sqltext.NewScanner(sql)
	first, second := scanner.Next(), scanner.Next()
	isAny := func(t sqltext.Token, words ...string) bool { return slices.ContainsFunc(words, t.Is) }
	switch {
	case isAny(first, "vacuum", "cluster", "reindex", "discard"):
		return true
	case isAny(first, "create", "alter", "drop") && isAny(second, "database", "tablespace", "subscription", "system"):
		return true
	}
	for t := second; t.Kind != sqltext.End; t = scanner.Next() {
		if t.Is("concurrently") {
			return true
		}
	}
	return false
}

// begun takes in the settings and sends the script.
func (sc *script) begun(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	if got.fault != nil {
		if got.commands < s.op.prefix && got.status == 'I' && !s.op.own {
			s.first = got.fault // BEGIN itself failed
			s.voidUnbegun()
		}
		s.explainPrelude(got.fault)
		sc.end(s, c, got.fault)
		return
	}
	if sc.at == 0 {
		sc.before = readSettings(got.data)
	}
	sc.run(s, c)
}

// run sends the script, or its next statement.
func (sc *script) run(s *Session, c *Call) {
	if s.op.cancelled {
		fault := cancelledFault("between two statements of a script")
		fault.SafeToRetry = sc.at == 0
		sc.end(s, c, fault)
		return
	}
	text := sc.text
	if sc.stepwise {
		text = sc.text[sc.parts[sc.at].Start:sc.parts[sc.at].End]
	}
	s.op.sql = text
	if sc.at > 0 && !sc.entered && sc.enters(s, c) {
		return
	}
	sc.entered = false
	s.op.prefix = 0
	s.sendQuery(c, phaseScript, s.conn.Statements().Commented(text))
	s.op.listener, c.IOFlags = scriptListener{s.conn, sc}, abi.IORows
}

// enters has what the scope demands precede a further statement, whose transaction the one before has ended. It
// returns false where nothing has to.
func (sc *script) enters(s *Session, c *Call) bool {
	if s.nests() {
		return false
	}
	s.enterScope()
	if len(s.prelude.pending) == 0 {
		return false
	}
	sc.entered = true
	c.Head = wire.AppendSync(s.sendPrelude(c.Head, false))
	s.beginIO(phaseScriptBegin)
	s.op.got.ours = s.op.prefix
	c.io(abi.IORaw, 1)
	return true
}

// scriptListener follows a script's commands, each by its own statement.
type scriptListener struct {
	*connection.Conn
	script *script
}

// Completed follows a command that the server has completed, and returns to the connection what its text
// tells.
func (l scriptListener) Completed(word string, _ *connection.Statement) {
	var st *connection.Statement
	if sc := l.script; sc.done < len(sc.parts) {
		p := sc.parts[sc.done]
		sc.done++
		sql := strings.Clone(sc.text[p.Start:p.End])
		st = &connection.Statement{SQL: sql, Effect: sqltext.Examine(sql, l.Reports)}
	}
	l.Conn.Completed(word, st)
}

// ran takes in the outcome of the script, or of one of its statements.
func (sc *script) ran(s *Session, c *Call) {
	got := &s.op.got
	was := s.tx.server
	s.ready(got)
	if h := s.op.hooks; h.known && !sc.ended.known && got.status == 'I' {
		sc.ended = h
	}
	s.forgetStatements(got)
	fault := got.fault
	if fault == nil && sc.stepwise {
		fault = s.refused(was, got)
	}
	if fault == nil && sc.stepwise && s.conn.Encoding() != "" {
		fault = s.encodingFault() // the next statement would be read wrong
	}
	switch {
	case fault != nil:
		sc.locate(fault)
		sc.end(s, c, fault)
	case sc.stepwise && sc.at+1 < len(sc.parts):
		sc.at++
		s.op.partly = true
		sc.done = sc.at
		sc.run(s, c)
	default:
		sc.end(s, c, nil)
	}
}

// locate completes a fault with the statement that it is of, and its place in the script. The server
// reads all of a Query before it runs any of it, so that its own position counts first.
func (sc *script) locate(f *wire.Fault) {
	number := min(sc.done, len(sc.parts)-1)
	if sc.stepwise {
		number = sc.at
	}
	offset := sc.parts[number].Start
	if f.Position > 0 {
		base := 0
		if sc.stepwise {
			base = offset
		}
		offset = base + sqltext.OffsetOf(sc.text[base:], f.Position)
		for number = 0; number+1 < len(sc.parts) && sc.parts[number+1].Start <= offset; {
			number++
		}
	}
	f.SQL = sc.text
	f.Statement = number + 1
	f.Line = sqltext.LineOf(sc.text, sc.parts[number].Start)
	f.Position = sqltext.CharacterOf(sc.text, offset)
}

// end ends the script: with a fault its own transaction is rolled back, else the settings are read
// again. In an aborted transaction they are set back by its rollback.
func (sc *script) end(s *Session, c *Call, fault *wire.Fault) {
	sc.fault = fault
	switch {
	case s.op.own && fault != nil && s.conn.Tx() != 'I':
		s.sendQuery(c, phaseScriptEnd, "ROLLBACK")
	case !sc.keeps || sc.before == nil || s.conn.Tx() == 'E' || s.op.own && fault != nil:
		sc.finish(s, c, nil)
	default:
		if s.conn.Encoding() != "" {
			c.Head = appendCommand(c.Head, "SET client_encoding TO 'UTF8'")
		}
		c.Head = appendSettings(c.Head, sc.custom)
		s.op.sql, s.op.prefix = "", 0
		s.sendSync(c, phaseScriptSettings, abi.IORaw)
		s.op.got.ours = 2
	}
}

// setBack takes in the settings behind the script, and sets back those that differ.
func (sc *script) setBack(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	if got.fault != nil {
		sc.finish(s, c, got.fault)
		return
	}
	syncs := 1
	// Outside a transaction each by itself, the role first: one that is refused does not undo the others.
	apart := s.conn.Tx() == 'I'
	for _, old := range changed(sc.before, readSettings(got.data)) {
		if hasSetting(s.scope.settings, old.name) {
			continue // it ends with the transaction, as it may have
		}
		if apart && len(c.Head) > 0 {
			c.Head = wire.AppendSync(c.Head)
			syncs++
		}
		c.Head = wire.AppendParse(c.Head, "", setBackSQL, nil)
		c.Head = wire.AppendBindText(c.Head, "", old.name, old.value)
		c.Head = wire.AppendExecute(c.Head)
	}
	if len(c.Head) > 0 {
		// To what they are set back the statements' texts do not tell.
		s.conn.Completed("SELECT", &connection.Statement{Effect: sqltext.Effect{Settings: sqltext.Unknown}})
	}
	s.op.got.data = nil
	if s.op.own {
		c.Head = appendCommand(c.Head, "COMMIT")
	}
	if len(c.Head) == 0 {
		sc.finish(s, c, nil)
		return
	}
	s.sendSync(c, phaseScriptEnd, 0)
	s.op.commits, c.ZS = s.op.own, syncs
}

// endedOwn follows the end of the script's own transaction, or the last of the settings.
func (sc *script) endedOwn(s *Session, c *Call) {
	got := &s.op.got
	switch {
	case !s.op.own:
		s.ready(got)
	case got.status == 'E' && sc.fault == nil: // COMMIT was not reached
		sc.end(s, c, got.fault)
		return
	default: // a transaction that is still open ends with its connection
		s.sees(got.status)
	}
	sc.finish(s, c, got.fault)
}

// finish ends the operation. later: what has failed behind the script; its own fault counts first.
func (sc *script) finish(s *Session, c *Call, later *wire.Fault) {
	if sc.ended.known {
		s.op.hooks = sc.ended
	}
	fault := sc.fault
	if fault == nil && later != nil {
		fault = later
		fault.SQL = sc.text
	}
	if fault != nil && fault.SQL == "" {
		fault.SQL = sc.text
	}
	s.op.sql = sc.text
	s.finish(c, fault)
}
