package session

import (
	"strings"

	"hypern/go/sqltext"
	"hypern/go/wire"
)

// What the server's answer to a transaction command leaves open is read from the command's own text: its
// tag ROLLBACK stands for ROLLBACK, for ROLLBACK TO a savepoint, and for a COMMIT or PREPARE TRANSACTION
// that found the transaction aborted; no tag names the savepoint. The text only ever tells what is
// harmless: a command that is not read as a ROLLBACK is taken for a COMMIT that failed.

// scan is a transaction command's scanner and its first word, past empty statements.
func scan(sql string) (*sqltext.Scanner, sqltext.Token) {
	s := sqltext.NewScanner(sql)
	first := s.Next()
	for first.Is(";") {
		first = s.Next()
	}
	return s, first
}

// The transaction commands, by what they do.
const (
	verbBegin      = "BEGIN"
	verbCommit     = "COMMIT"
	verbRollback   = "ROLLBACK"
	verbSavepoint  = "SAVEPOINT"
	verbRelease    = "RELEASE"
	verbRollbackTo = "ROLLBACK TO"
	verbTwoPhase   = "PREPARE TRANSACTION" // or the end of one that is prepared
)

var verbs = map[string]string{
	"begin": verbBegin, "start": verbBegin, "commit": verbCommit, "end": verbCommit, "rollback": verbRollback,
	"abort": verbRollback, "savepoint": verbSavepoint, "release": verbRelease,
}

// verbOf is what a text does to the transaction; "" if it is no transaction command.
func verbOf(sql string) string {
	s, first := scan(sql)
	if first.Kind != sqltext.Word {
		return ""
	}
	if first.Is("prepare") {
		if s.Next().Is("transaction") && s.Next().Kind == sqltext.String {
			return verbTwoPhase
		}
		return ""
	}
	verb := verbs[first.Text]
	if verb == verbCommit || verb == verbRollback {
		if s.Next().Is("prepared") {
			return verbTwoPhase
		}
		if _, back := rollbackTo(sql); back {
			return verbRollbackTo
		}
	}
	return verb
}

// commandsTransaction tells whether a text begins, ends or divides a transaction.
func commandsTransaction(sql string) bool { return verbOf(sql) != "" }

// isChained returns whether COMMIT or ROLLBACK begins another transaction at once: AND CHAIN.
func isChained(sql string) bool {
	s, _ := scan(sql)
	next := s.Next()
	if next.Is("work") || next.Is("transaction") {
		next = s.Next()
	}
	return next.Is("and") && s.Next().Is("chain")
}

// setsTransaction returns whether a text is SET TRANSACTION.
func setsTransaction(sql string) bool {
	s, first := scan(sql)
	return first.Is("set") && s.Next().Is("transaction")
}

// isReadOnly returns whether BEGIN or SET TRANSACTION says READ ONLY, or says it last.
func isReadOnly(sql string) bool {
	s, last := sqltext.NewScanner(sql), false
	for before, t := s.Next(), s.Next(); t.Kind != sqltext.End; before, t = t, s.Next() {
		if before.Is("read") && (t.Is("only") || t.Is("write")) {
			last = t.Is("only")
		}
	}
	return last
}

// isRollback tells whether a command that the server answered with ROLLBACK asked for one.
func isRollback(sql string) bool {
	_, first := scan(sql)
	return first.Is("rollback") || first.Is("abort")
}

// rollbackTo tells whether a ROLLBACK goes back to a savepoint, and to which; "" for one that cannot be
// read.
func rollbackTo(sql string) (name string, ok bool) {
	s, first := scan(sql)
	next := s.Next()
	if next.Is("work") || next.Is("transaction") {
		next = s.Next()
	}
	if !first.Is("rollback") || !next.Is("to") {
		return "", false
	}
	return optionalSavepoint(s), true
}

// savepointOf is the name in a SAVEPOINT or RELEASE; "" for one that cannot be read.
func savepointOf(sql string) string {
	s, first := scan(sql)
	if first.Is("release") {
		return optionalSavepoint(s)
	}
	return name(s.Next(), s.Next())
}

// nameIn is the name in SAVEPOINT, RELEASE or ROLLBACK TO; "" for one that cannot be read.
func nameIn(sql string) string {
	if name, back := rollbackTo(sql); back {
		return name
	}
	return savepointOf(sql)
}

// optionalSavepoint is a name that the word SAVEPOINT may precede.
func optionalSavepoint(s *sqltext.Scanner) string {
	first, second := s.Next(), s.Next()
	if first.Is("savepoint") && (second.Kind == sqltext.Word || second.Kind == sqltext.Quoted) {
		return name(second, s.Next())
	}
	return name(first, second)
}

// name is a savepoint's, as the server stores it; next is the token behind it. "" if it cannot be read, as
// one with Unicode escapes (U&"...").
func name(t, next sqltext.Token) string {
	switch {
	case t.Kind == sqltext.Word && (t.Text != "u" || !next.Is("&")):
		return cut(t.Text)
	case t.Kind == sqltext.Quoted && !t.Escaped:
		return cut(strings.ReplaceAll(t.Text, `""`, `"`))
	}
	return ""
}

// nameMax is the length in bytes to which PostgreSQL cuts a name (NAMEDATALEN - 1).
const nameMax = 63

// cut shortens a name as the server does, between two characters.
func cut(name string) string {
	if len(name) <= nameMax {
		return name
	}
	n := nameMax
	for n > 0 && name[n]&0xC0 == 0x80 {
		n--
	}
	return name[:n]
}

// refusedListen is the fault of LISTEN, whose notifications a session could not deliver; nil for any other text.
func refusedListen(sql string) *wire.Fault {
	if _, first := scan(sql); !first.Is("listen") {
		return nil
	}
	fault := interfaceFault("LISTEN on a session would never deliver anything, and ends with the request: " +
		"use hypern.database.listen()")
	fault.SQL, fault.SafeToRetry = strings.Clone(sql), true
	return fault
}
