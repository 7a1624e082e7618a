package connection

import (
	"strings"
	"testing"

	"hypern/go/sqltext"
)

// play runs a script of events on an environment: statements, whose tag is their first words, and
// "I", "T", "E", the status of a ReadyForQuery.
func play(e *Environment, script ...string) {
	for _, step := range script {
		switch step {
		case "I", "T", "E":
			e.ready(step[0])
		case "<reset>":
			e.reset()
		default:
			word := step
			for _, tag := range []string{"SET", "RESET", "ROLLBACK", "CREATE TABLE", "ALTER TABLE", "DO", "SELECT", "EXECUTE", "PREPARE TRANSACTION", "PREPARE", "DECLARE CURSOR", "FETCH", "COMMIT PREPARED", "COMMIT", "GRANT"} {
				if strings.HasPrefix(step, tag) {
					word = tag
					break
				}
			}
			if word == "EXECUTE" {
				word = "SELECT" // the tag is that of what was prepared
			}
			st := &Statement{SQL: step, Description: make([]byte, 16), Effect: sqltext.Examine(step, nil)}
			e.Completed(word, st)
		}
	}
}

func TestSettingsAndSchemaAreToldApart(t *testing.T) {
	const path, other = "SET search_path TO a", "SET search_path TO b"
	const local = "SET LOCAL search_path TO a"
	for _, c := range []struct {
		name         string
		first        []string // what leads to one environment
		second       []string // and, after a reset, to another
		sameSettings bool
	}{
		{"nothing", nil, []string{"SELECT 1", "I"}, true},
		{"the same SET", []string{path, "I"}, []string{path, "I"}, true},
		{"another SET", []string{path, "I"}, []string{other, "I"}, false},
		{"SET and nothing", []string{path, "I"}, nil, false},
		{"SET twice", []string{path, "I", other, "I"}, []string{other, "I"}, false},
		{"a setting that parsing does not look at", []string{"SET statement_timeout TO 1", "I"}, nil, true},
		{"a setting of the user's own", []string{"SET app.user TO 1", "I"}, nil, true},
		{"the transaction's characteristics", []string{"BEGIN", "SET TRANSACTION READ ONLY", "T"}, nil, true},
		{"SET LOCAL in a transaction", []string{"BEGIN", local, "T"}, []string{"BEGIN", "T", local, "T"}, true},
		{"SET LOCAL outside one", []string{local, "I"}, nil, true},
		{"SET LOCAL ends with COMMIT", []string{"BEGIN", local, "T", "COMMIT", "I"}, nil, true},
		{"SET LOCAL ends with ROLLBACK", []string{"BEGIN", local, "T", "ROLLBACK", "I"}, nil, true},
		{"SET LOCAL ends with PREPARE TRANSACTION", []string{"BEGIN", local, "T", "PREPARE TRANSACTION 'x'", "I"}, nil, true},
		{"SET stays after COMMIT", []string{"BEGIN", path, "T", "COMMIT", "I"}, []string{"BEGIN", path, "T"}, true},
		{"SET ends with ROLLBACK", []string{"BEGIN", path, "T", "ROLLBACK", "I"}, nil, true},
		{"SET ends with a failed COMMIT", []string{"BEGIN", path, "T", "I"}, nil, true},
		{"SET and SET LOCAL, committed", []string{"BEGIN", path, local, "T", "COMMIT", "I"}, []string{path, "I"}, false},
		{"back at a savepoint", []string{"BEGIN", "SAVEPOINT a", path, "T", "ROLLBACK TO a", "T"}, []string{"BEGIN", path, "T"}, false},
		{"back at a savepoint, then COMMIT", []string{"BEGIN", path, "T", "ROLLBACK TO a", "T", "COMMIT", "I"}, nil, false},
		{"back at a savepoint, then ROLLBACK", []string{"BEGIN", path, "T", "ROLLBACK TO a", "T", "ROLLBACK", "I"}, nil, true},
		{"COMMIT AND CHAIN", []string{"BEGIN", local, "T", "COMMIT AND CHAIN", "T", "ROLLBACK", "I"}, nil, true},
		{"ROLLBACK AND CHAIN, then COMMIT", []string{"BEGIN", local, "T", "ROLLBACK AND CHAIN", "T", "COMMIT", "I"}, nil, false},
		{"a rollback and a BEGIN in one answer", []string{"BEGIN", path, "E", "ROLLBACK", "BEGIN", "T"}, nil, true},
		{"BEGIN inside a transaction changes nothing", []string{"BEGIN", local, "T", "BEGIN", "T", "COMMIT", "I"}, nil, true},
		{"DO", []string{"DO $$ $$", "I"}, nil, false},
		{"DO, rolled back", []string{"BEGIN", "DO $$ $$", "T", "ROLLBACK", "I"}, nil, true},
		{"DO twice", []string{"DO $$ $$", "I"}, []string{"DO $$ $$", "I"}, false},
		{"set_config of what is not known", []string{"SELECT set_config($1, $2, true)", "I"}, nil, false},
		{"set_config of a setting of the user's own", []string{"SELECT set_config('app.user', $1, true)", "I"}, nil, true},
		{"RESET ALL", []string{path, "I", "RESET ALL", "I"}, nil, false},
		{"DISCARD ALL", []string{path, "I", "DISCARD ALL", "I"}, nil, true},
		{"EXECUTE of what was prepared harmlessly", []string{"PREPARE p AS SELECT 1", "I", "EXECUTE p", "I"}, nil, true},
		{"EXECUTE of what sets", []string{"PREPARE p AS SELECT set_config($1, $2, true)", "I", "EXECUTE p", "I"}, []string{"PREPARE p AS SELECT set_config($1, $2, true)", "I"}, false},
		{"EXECUTE of what DO may have prepared", []string{"DO $$ $$", "I", "RESET ALL", "I", "EXECUTE p", "I"}, []string{"DO $$ $$", "I", "RESET ALL", "I"}, false},
		{"FETCH from a cursor that sets", []string{"BEGIN", "DECLARE CURSOR FOR SELECT set_config($1, $2, true)", "T", "FETCH 1", "T"}, []string{"BEGIN", "T"}, false},
		{"FETCH from one that does not", []string{"BEGIN", "DECLARE CURSOR FOR SELECT 1", "T", "FETCH 1", "T"}, []string{"BEGIN", "T"}, true},
		{"a name too long to keep", []string{"SET search_path TO " + strings.Repeat("a", nameBytesMax), "I"}, []string{"SET search_path TO " + strings.Repeat("a", nameBytesMax), "I"}, false},
	} {
		var e Environment
		play(&e, c.first...)
		was := e.place
		play(&e, "<reset>")
		play(&e, c.second...)
		if (e.place == was) != c.sameSettings {
			t.Errorf("%s: settings told as %v, then %v", c.name, was, e.place)
		}
	}
}

func TestAChangeOfTheSchemaIsSeen(t *testing.T) {
	for _, c := range []struct {
		name string
		// at some point of the script the schema is looked at: "?"
		script  []string
		changed bool
	}{
		{"SELECT", []string{"?", "SELECT 1", "I"}, false},
		{"INSERT", []string{"?", "INSERT", "I"}, false},
		{"CREATE TABLE", []string{"?", "CREATE TABLE t", "I"}, true},
		{"a function may do anything in DO", []string{"?", "DO $$ $$", "I"}, true},
		{"GRANT, since names are looked up in schemas that may be used", []string{"?", "GRANT", "I"}, true},
		{"COMMIT PREPARED", []string{"?", "COMMIT PREPARED 'x'", "I"}, true},
		{"DISCARD TEMP", []string{"?", "DISCARD TEMP", "I"}, true},
		{"COMMIT of a change, since tables may be dropped ON COMMIT", []string{"BEGIN", "CREATE TABLE t", "T", "?", "COMMIT", "I"}, true},
		{"ROLLBACK of a change", []string{"BEGIN", "ALTER TABLE t", "T", "?", "ROLLBACK", "I"}, true},
		{"ROLLBACK TO a savepoint before a change", []string{"BEGIN", "ALTER TABLE t", "T", "?", "ROLLBACK TO a", "T"}, true},
		{"a failed COMMIT of a change", []string{"BEGIN", "ALTER TABLE t", "T", "?", "I"}, true},
		{"COMMIT without a change", []string{"CREATE TABLE t", "I", "BEGIN", "T", "?", "COMMIT", "I"}, false},
		{"a reset after a change: temporary tables are gone", []string{"CREATE TABLE t", "I", "?", "<reset>"}, true},
		{"a reset without one", []string{"?", "<reset>", "<reset>"}, false},
	} {
		var e Environment
		var was uint32
		for _, step := range c.script {
			if step == "?" {
				was = e.schema
			} else {
				play(&e, step)
			}
		}
		if (e.schema != was) != c.changed {
			t.Errorf("%s: %d, then %d", c.name, was, e.schema)
		}
	}
}

func TestCreatingATableFromAQueryIsAChangeOfTheSchema(t *testing.T) {
	var e Environment
	e.Completed("SELECT", &Statement{SQL: "CREATE TABLE t AS SELECT 1", Description: make([]byte, 10)})
	if e.schema == 0 {
		t.Error("a SELECT without columns has made a table")
	}
}

func TestWhatTheServerReportsTellsSettingsApart(t *testing.T) {
	var e Environment
	e.reports("TimeZone=UTC")
	utc := e.place
	e.reports("TimeZone=Asia/Tokyo")
	tokyo := e.place
	e.reports("")
	begun := e.place
	e.reports("TimeZone=UTC")
	if utc == tokyo || begun != (place{}) || e.place != utc {
		t.Errorf("%v, %v, %v, %v", utc, tokyo, begun, e.place)
	}
}

func TestTheNamesOfSettingsAreBounded(t *testing.T) {
	var e Environment
	seen := map[uint32]bool{}
	for i := range 3 * namesMax {
		seen[e.number(strings.Repeat("x", i%7)+string(rune('a'+i)))] = true
	}
	if len(seen) != 3*namesMax || len(e.names) > namesMax {
		t.Errorf("%d numbers, %d names", len(seen), len(e.names))
	}
}
