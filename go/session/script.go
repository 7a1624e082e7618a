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
	own      bool      // a transaction of its own is around it
	keeps    bool      // the settings are to be as before at its end
	custom   []string  // those among them that only the script names
	before   []setting // what they were
	at       int       // the first statement of the Query under way
	done     int       // how many of the statements have completed
	ended    hooks     // what the first COMMIT or ROLLBACK of a stepwise script has decided
	fault    *wire.Fault
}

// openScript reads the script of the operation. It returns false when the step is over: there is nothing
// to run, or the script is refused before anything is sent.
func (s *Session) openScript(c *Call) bool {
	text, parts, problem := sqltext.Split(strings.Clone(s.op.sql))
	if problem != nil {
		c.fail(refusedScript(s.op.sql, problem.Message, problem.Line, problem.Position))
		return false
	}
	s.op.sql, s.op.owned = text, true
	sc := &script{text: text, parts: parts, stepwise: s.op.stepwise}
	for i, p := range parts {
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
	s.op.script = sc
	return true
}

func refusedScript(text, message string, line, position int) *wire.Fault {
	return &wire.Fault{Kind: wire.KindNotSupported, SQL: text, Message: message, Line: line, Position: position, SafeToRetry: true}
}

// beginScript sends what precedes the script: a BEGIN, and a look at the settings. A single statement is
// run as it is, since it may be one that no transaction takes; behind a pooler that shares its servers,
// any other gets a transaction all the same, or settings that it changes would be another client's.
func (s *Session) beginScript(c *Call) {
	sc := s.op.script
	s.remember(sc.text)
	open := s.tx.active()
	single := len(sc.parts) == 1 && (!s.conn.Shared() || takesNoTransaction(sc.text[sc.parts[0].Start:]))
	sc.own = !sc.stepwise && !open && !single && !s.nests() // whose guard makes it atomic
	sc.keeps = s.tx.server != 'E' && (!s.conn.Shared() || sc.own || open && !sc.stepwise)
	c.Head = s.sendOwed(c.Head, false)
	if sc.own {
		c.Head = appendCommand(c.Head, "BEGIN")
		s.op.prefix++
	}
	if sc.keeps {
		sc.custom = sqltext.CustomSettings(sc.text)
		c.Head = appendSettings(c.Head, sc.custom)
	}
	if len(c.Head) == 0 {
		s.runScript(c)
		return
	}
	c.Head = wire.AppendSync(c.Head)
	s.beginIO(phaseScriptBegin)
	s.op.got.ours = s.op.prefix + 1
	c.io(abi.IORaw, 1)
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

// scriptBegun takes in the settings and sends the script.
func (s *Session) scriptBegun(c *Call) {
	got := &s.op.got
	s.ready(got)
	if got.fault != nil {
		if got.commands < s.op.prefix && got.status == 'I' && !s.ownRows() {
			s.first = got.fault // BEGIN itself failed
			s.voidUnbegun()
		}
		s.endScript(c, got.fault)
		return
	}
	s.op.script.before = readSettings(got.data)
	s.runScript(c)
}

// runScript sends the script, or its next statement.
func (s *Session) runScript(c *Call) {
	sc := s.op.script
	if s.op.cancelled {
		fault := cancelledFault("between two statements of a script")
		fault.SafeToRetry = sc.at == 0
		s.endScript(c, fault)
		return
	}
	text := sc.text
	if sc.stepwise {
		text = sc.text[sc.parts[sc.at].Start:sc.parts[sc.at].End]
	}
	c.Head = wire.AppendQuery(c.Head, text)
	s.op.sql, s.op.prefix = text, 0
	s.beginIO(phaseScript)
	c.io(abi.IORows, 1)
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

// listener is who follows the answer of the I/O under way.
func (s *Session) listener() listener {
	if s.op.phase == phaseScript {
		return scriptListener{s.conn, s.op.script}
	}
	return s.conn
}

// scriptRan takes in the outcome of the script, or of one of its statements.
func (s *Session) scriptRan(c *Call) {
	got, sc := &s.op.got, s.op.script
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
		s.endScript(c, fault)
	case sc.stepwise && sc.at+1 < len(sc.parts):
		sc.at++
		sc.done = sc.at
		s.runScript(c)
	default:
		s.endScript(c, nil)
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

// endScript ends the script: with a fault its own transaction is rolled back, else the settings are read
// again. In an aborted transaction they are set back by its rollback.
func (s *Session) endScript(c *Call, fault *wire.Fault) {
	sc := s.op.script
	sc.fault = fault
	switch {
	case sc.own && fault != nil && s.conn.Tx() != 'I':
		c.Head = wire.AppendQuery(c.Head, "ROLLBACK")
		s.beginIO(phaseScriptEnd)
		c.io(0, 1)
	case !sc.keeps || sc.before == nil || s.conn.Tx() == 'E' || sc.own && fault != nil:
		s.finishScript(c, nil)
	default:
		if s.conn.Encoding() != "" {
			c.Head = appendCommand(c.Head, "SET client_encoding TO 'UTF8'")
		}
		c.Head = wire.AppendSync(appendSettings(c.Head, sc.custom))
		s.op.sql, s.op.prefix = "", 0
		s.beginIO(phaseScriptSettings)
		s.op.got.ours = 2
		c.io(abi.IORaw, 1)
	}
}

// scriptSettings takes in the settings behind the script, and sets back those that differ.
func (s *Session) scriptSettings(c *Call) {
	got, sc := &s.op.got, s.op.script
	s.ready(got)
	if got.fault != nil {
		s.finishScript(c, got.fault)
		return
	}
	syncs := 1
	// Outside a transaction each by itself, the role first: one that is refused does not undo the others.
	apart := s.conn.Tx() == 'I'
	for _, old := range changed(sc.before, readSettings(got.data)) {
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
	if sc.own {
		c.Head = appendCommand(c.Head, "COMMIT")
	}
	if len(c.Head) == 0 {
		s.finishScript(c, nil)
		return
	}
	c.Head = wire.AppendSync(c.Head)
	s.beginIO(phaseScriptEnd)
	c.io(0, syncs)
}

// scriptEnded follows the end of the script's own transaction, or the last of the settings.
func (s *Session) scriptEnded(c *Call) {
	got, sc := &s.op.got, s.op.script
	switch {
	case !sc.own:
		s.ready(got)
	case got.status == 'E' && sc.fault == nil: // COMMIT was not reached
		s.endScript(c, got.fault)
		return
	default: // a transaction that is still open ends with its connection
		s.sees(got.status)
	}
	s.finishScript(c, got.fault)
}

// finishScript ends the operation. later: what has failed behind the script; its own fault counts first.
func (s *Session) finishScript(c *Call, later *wire.Fault) {
	sc := s.op.script
	if sc.ended.known {
		s.op.hooks = sc.ended
	}
	fault := sc.fault
	if fault == nil && later != nil {
		fault = later
		fault.SQL = sc.text
	}
	if fault == nil {
		c.done(0)
		return
	}
	if fault.SQL == "" {
		fault.SQL = sc.text
	}
	s.told = true
	c.fail(fault)
}
