package connection

import (
	"strconv"
	"strings"

	"hypern/go/process"
	"hypern/go/sqltext"
)

// Environment is what the statements of one connection are parsed under: the settings and the schema.
// A prepared statement keeps what it was parsed under, so it may serve only in an equal place.
//
// Settings are distinguished by their history since the last reset: from equal settings, equal SET
// commands lead to equal settings, so that those have a number without being read. What the server
// reports (ParameterStatus) counts by its value. The schema is a count of the changes that this
// connection has seen; another connection's cannot be seen, see Statement.Expired.
//
// Its methods are events. Undoing is an event, too: a rollback takes settings and schema back, and
// the end of any transaction ends SET LOCAL and drops tables ON COMMIT.
type Environment struct {
	place    place
	schema   uint32
	changed  process.Moment // when schema was last counted up
	altered  bool           // the schema has changed since the last reset: it may hold temporary tables
	deferred bool           // what may change settings was prepared or declared as a cursor, to be run by another text
	digits   bool           // a SET of extra_float_digits since the last reset
	unseen   bool           // a change since then that may have been one

	open     bool   // a transaction is open
	ending   bool   // a ROLLBACK has been answered: it ends the transaction, or returns to a savepoint
	began    uint32 // place.history when it began
	kept     bool   // it has seen a SET, which outlives it
	local    bool   // it has seen a SET LOCAL, which does not
	blurred  bool   // it has seen a change of which one cannot report whether it outlives it
	reshaped bool   // it has changed the schema

	last  uint32            // the last number given
	names map[string]uint32 // numbers by what they stand for
}

// place identifies settings, and the comment that is part of each text; the zero place is what the connection begins with and each reset
// returns to.
type place struct {
	history  uint32 // of SET commands
	reported uint32 // what the server reports
	comment  uint32 // of the texts, see Statements.Comment; 0: none
}

// namesMax and nameBytesMax bound the memory for what settings are called. Beyond them settings are
// still distinguished, but not recognised when they occur again.
const (
	namesMax     = 1024
	nameBytesMax = 1024
)

// fresh is a number that stands for settings without a name.
func (e *Environment) fresh() uint32 {
	e.last++
	return e.last
}

// number is the same for the same name.
func (e *Environment) number(name string) uint32 {
	if n, ok := e.names[name]; ok {
		return n
	}
	n := e.fresh()
	if len(name) > nameBytesMax {
		return n
	}
	if e.names == nil || len(e.names) >= namesMax {
		e.names = make(map[string]uint32)
	}
	e.names[name] = n
	return n
}

// Completed follows a command that the server has completed: the word of its tag and, for one of the
// caller's, its statement.
func (e *Environment) Completed(word string, st *Statement) {
	switch word {
	case "BEGIN", "START TRANSACTION":
		e.begin()
		return
	case "COMMIT", "PREPARE TRANSACTION":
		e.commit()
		return
	case "ROLLBACK":
		e.undone()
		return
	case "SAVEPOINT", "RELEASE":
		return
	case "DISCARD ALL":
		e.reset()
		e.reshape()
		return
	}
	if st == nil {
		return
	}
	switch {
	case word == "SET" || word == "RESET":
		e.set(st)
	case word == "DO" || word == "CALL":
		e.blur()
		e.reshape()
		e.deferred = true
	case word == "PREPARE" || word == "DECLARE CURSOR":
		e.deferred = e.deferred || st.Effect.Settings == sqltext.Unknown
	case st.Effect.Settings == sqltext.Unknown, e.deferred && (st.Effect.Executes || word == "FETCH" || word == "MOVE"):
		e.blur()
	}
	switch {
	case reshapes(word), word == "SELECT" && len(st.Columns()) == 0: // CREATE TABLE AS, SELECT INTO
		e.reshape()
	}
}

// reshapes reports whether a command's tag stands for a change of the schema, or of the schemas that the
// role may use. EXPLAIN may have created a table, and IMPORT FOREIGN SCHEMA creates many.
func reshapes(word string) bool {
	switch word {
	case "INSERT", "SELECT", "UPDATE", "DELETE":
		return false
	case "COMMIT PREPARED", "DISCARD TEMP", "EXPLAIN", "GRANT", "GRANT ROLE", "IMPORT FOREIGN SCHEMA",
		"REASSIGN OWNED", "REVOKE", "REVOKE ROLE":
		return true
	}
	return strings.HasPrefix(word, "CREATE ") || strings.HasPrefix(word, "ALTER ") || strings.HasPrefix(word, "DROP ")
}

// set follows SET and RESET.
func (e *Environment) set(st *Statement) {
	switch st.Effect.Settings {
	case sqltext.Unchanged:
		return
	case sqltext.SetLocal:
		if !e.open {
			return // a warning is all it does
		}
		e.local = true
	case sqltext.Set:
		e.kept = true
	case sqltext.Unknown:
		e.blur()
		return
	}
	e.digits = e.digits || strings.Contains(strings.ToLower(st.SQL), digitsSetting)
	e.place.history = e.after(e.place.history, st)
}

// ahead is the place behind settings that are to be sent. undone: the open transaction is rolled back first.
func (e *Environment) ahead(local *Statement, undone bool) place {
	at := e.place
	if undone && e.open {
		at.history = e.began
	}
	at.history = e.after(at.history, local)
	return at
}

// after is what follows history by a SET.
func (e *Environment) after(history uint32, st *Statement) uint32 {
	return e.number(strconv.FormatUint(uint64(history), 10) + " " + st.SQL)
}

// blur follows a change of settings that cannot be named.
func (e *Environment) blur() {
	e.blurred, e.unseen = true, true
	e.place.history = e.fresh()
}

func (e *Environment) change() {
	e.schema++
	e.changed = process.Now()
}

// reshape follows a change of the schema.
func (e *Environment) reshape() {
	e.change()
	e.altered, e.reshaped = true, true
}

func (e *Environment) begin() {
	if e.open && !e.ending {
		return // a warning is all it does
	}
	e.rolledBack()
	e.open, e.began = true, e.place.history
	e.kept, e.local, e.blurred, e.reshaped = false, false, false, false
}

// commit leaves what was SET, and takes back what was SET LOCAL. Where both were, or savepoints took
// some of it back, what is left is unknown.
func (e *Environment) commit() {
	if !e.open {
		return
	}
	switch {
	case e.blurred, e.kept && e.local:
		e.place.history = e.fresh()
	case e.local:
		e.place.history = e.began
	}
	e.leave()
}

// undone follows a ROLLBACK, which ready distinguishes from one that has only returned to a savepoint.
func (e *Environment) undone() {
	if !e.open {
		return
	}
	e.ending = true
	if e.kept || e.local || e.blurred {
		e.blur()
	}
	if e.reshaped {
		e.change()
	}
}

// rolledBack follows the end of a transaction by a rollback, or one that is certain to precede the
// next statement.
func (e *Environment) rolledBack() {
	if e.open {
		e.place.history = e.began
		e.leave()
	}
}

func (e *Environment) leave() {
	if e.reshaped {
		e.change()
	}
	e.open, e.ending = false, false
	e.kept, e.local, e.blurred, e.reshaped = false, false, false, false
}

// ready follows a ReadyForQuery.
func (e *Environment) ready(status byte) {
	switch {
	case status != 'I' && !e.open:
		e.begin() // AND CHAIN
	case status != 'I':
		e.ending = false
	case e.open:
		e.rolledBack()
	default:
		e.kept, e.local, e.blurred, e.reshaped = false, false, false, false
	}
}

// reset follows a reset that is certain to precede the next statement: settings are as the connection
// began, and what temporary tables it had are gone.
func (e *Environment) reset() {
	if e.altered {
		e.change()
	}
	e.place = place{}
	e.altered, e.deferred = false, false
	e.digits, e.unseen = false, false
	e.open, e.ending = false, false
	e.kept, e.local, e.blurred, e.reshaped = false, false, false, false
}

// reports follows a change of what the server reports: name describes all of it, "" stands for what the
// connection began with.
func (e *Environment) reports(name string) {
	e.place.reported = 0
	if name != "" {
		e.place.reported = e.number("reported " + name)
	}
}
