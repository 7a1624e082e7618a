package session

import (
	"encoding/json"
	"strings"

	"hypern/go/connection"
	"hypern/go/wire"
)

// What the options of a session's scope make of its transactions: the first statement outside of one begins one
// by itself, and in each the settings are set ahead of anything else. Both travel with that statement.

// isAtomic returns whether the session's statements run in transactions that begin by themselves.
func (s *Session) isAtomic() bool { return s.scope.begin != "" }

// opensByItself returns whether the operation's statement begins a transaction that nobody has asked for.
func (s *Session) opensByItself() bool {
	return s.isAtomic() && !s.tx.active() && verbOf(s.op.sql) != verbBegin
}

// enterScope has what the scope demands precede the operation's statement, whose connection is there.
func (s *Session) enterScope() {
	if s.nests() {
		s.settleSettings()
		return
	}
	if s.scope == plain {
		return
	}
	if s.opensByItself() {
		s.openTransaction(s.scope.begin)
	}
	s.applySettings()
	s.conn.Statements().Ahead(s.prelude.local(), false)
}

// openTransaction makes BEGIN, and the scope's settings, precede the next statement.
func (s *Session) openTransaction(begin string) {
	s.first, s.told, s.inDoubt = nil, false, false
	s.savepoints = s.savepoints[:0]
	s.tx = s.tx.transition(evBegin, 0)
	s.prelude.begin(begin)
	s.applied = false
	s.applySettings()
}

// applySettings makes the scope's settings precede the next statement, unless the open transaction has them.
func (s *Session) applySettings() {
	switch {
	case s.scope.set.sql == "":
	case !s.tx.active():
		s.applied = false
	case !s.applied && !s.tx.aborted():
		s.prelude.pending = append(s.prelude.pending, s.scope.set)
		s.applied = true
	}
}

// localAhead stands for the settings that would precede the operation's statement on a connection; nil: none that
// matter.
func (s *Session) localAhead() *connection.Statement {
	if s.scope.local != nil && (s.opensByItself() || s.tx.active() && !s.applied) {
		return s.scope.local
	}
	return s.prelude.local()
}

// revertSettings follows a return to a savepoint, which may have taken back what set_local had set.
func (s *Session) revertSettings() {
	if s.scope.extended {
		s.applied = false
	}
}

// permitted fails the call where the alias requires settings and the scope has none.
func (s *Session) permitted(c *Call) bool {
	if !s.pool.Config().RequiresSettings || s.scope.isSet() {
		return true
	}
	c.fail(interfaceFault("the alias %q requires settings, and the scope of request %q has none: "+
		"pass settings= to scope(), @scoped() or DatabaseMiddleware", s.key.alias, s.key.request))
	return false
}

// setLocal adds settings: to the open transaction, and in an atomic scope to each that follows. The operation's
// text has them as JSON, pairs of name and value.
func (o *control) setLocal(s *Session, c *Call, text string) {
	var pairs [][2]string
	if err := json.Unmarshal([]byte(text), &pairs); err != nil {
		c.fail(interfaceFault("settings are not readable: %v", err))
		return
	}
	if !s.isAtomic() && !s.tx.active() {
		c.fail(interfaceFault("set_local() outside a transaction sets nothing: call begin() or transaction() first, " +
			"or open the scope with atomic=True or settings="))
		return
	}
	if s.tx.active() && !s.transactionOpen(c) {
		return
	}
	settings := make([]setting, 0, len(pairs))
	for _, pair := range pairs {
		settings = append(settings, setting{name: pair[0], value: pair[1]})
	}
	changed := s.scope.with(settings)
	switch {
	case len(settings) == 0:
	case s.isAtomic():
		s.scope, s.applied = changed, false
	default: // they end with the transaction
		s.prelude.pending = append(s.prelude.pending, (&options{}).with(settings).set)
	}
	c.done(0)
}

// explainPrelude completes the fault of a command that was sent ahead of the caller's statement.
func (s *Session) explainPrelude(fault *wire.Fault) {
	if n := s.op.got.commands; n < len(s.prelude.sent) && n < s.op.prefix && len(s.prelude.sent[n].values) > 0 {
		fault.Message += " (in settings= or role= of the scope, or set_local())"
	}
}

// explainAtomic completes the fault of a statement that cannot run in the transaction of an atomic scope.
func (s *Session) explainAtomic(fault *wire.Fault) {
	if fault.SQLState != wire.StateActiveTransaction || !s.isAtomic() || !strings.Contains(fault.Message, "transaction block") {
		return
	}
	remedy := "run it in a scope(atomic=False)"
	if len(s.scope.settings) > 0 {
		remedy += " without settings= and role="
	}
	fault.Message += ", and every statement of this atomic scope does: " + remedy
}
