package session

import (
	"strings"
	"testing"
)

func TestARollbackIsReadAsTheServerReadsIt(t *testing.T) {
	for sql, want := range map[string]bool{
		"ROLLBACK": true, "rollback;": true, " \n\t\f\v\rRollBack WORK": true, "abort": true, "ABORT TRANSACTION": true,
		";;rollback": true, "-- commit\nROLLBACK": true, "--x\rROLLBACK": true, "/* commit */ rollback": true,
		"/* a /* b */ commit */rollback": true, "rollback/**/work": true, "ROLLBACK AND CHAIN": true, "rollback--": true,
		"": false, "COMMIT": false, "commit;": false, "END": false, "/* rollback */ COMMIT": false, ";commit": false,
		"-- rollback\ncommit": false, "/* a /* b */ rollback": false, "rollbacks": false, "rollback1": false,
		`"rollback"`: false, "PREPARE TRANSACTION 'rollback'": false, "-- rollback": false, "rollback$": false,
		"rollbacké": false, "\u00a0rollback": false, "'rollback'": false, "/*": false, "/*/": false, "-": false,
	} {
		if isRollback(sql) != want {
			t.Errorf("%q: %t", sql, !want)
		}
	}
}

func TestTransactionCommandsAreReadFromTheirText(t *testing.T) {
	for sql, want := range map[string]bool{
		"BEGIN": true, "start transaction": true, "COMMIT": true, ";;end": true, "-- x\nRollback to a": true, "abort": true,
		"/* /* */ */ savepoint a": true, "RELEASE a": true, "prepare transaction 'x'": true, "PREPARE/**/TRANSACTION E'x'": true,
		"commit prepared 'x'": true, "rollback prepared 'x'": true, "COMMIT AND CHAIN": true,
		"": false, "PREPARE transaction AS SELECT 'x'": false, "prepare transaction (int) as select $1": false, "'commit'": false,
		`"commit"`: false, "commits": false, "-- commit": false, "INSERT INTO t VALUES ('commit')": false, "SET TRANSACTION READ ONLY": false,
		"(commit)": false, "DO 'BEGIN END'": false, "CALL commit()": false,
	} {
		if commandsTransaction(sql) != want {
			t.Errorf("%q: %t", sql, !want)
		}
	}
}

func TestTheSavepointThatARollbackGoesBackToIsReadFromItsText(t *testing.T) {
	for sql, want := range map[string]string{
		"ROLLBACK TO a": "a", "rollback work to savepoint A;": "a", "Rollback Transaction To SavePoint \"A b\"": "A b",
		"/**/rollback/**/to/**/x--": "x", `ROLLBACK TO "a""b"`: `a"b`, "ROLLBACK TO savepoint": "savepoint",
		`ROLLBACK TO "savepoint" `: "savepoint", `ROLLBACK TO U&"\0061"`: "",
		"rollback to " + strings.Repeat("a", 70): strings.Repeat("a", 63),
		"rollback to " + strings.Repeat("é", 40): strings.Repeat("é", 31),
	} {
		if name, ok := rollbackTo(sql); !ok || name != want {
			t.Errorf("%q: %q %t, and not %q", sql, name, ok, want)
		}
	}
	for _, sql := range []string{"ROLLBACK", "ROLLBACK AND CHAIN", "ABORT", "rollback work", "COMMIT", "rollback prepared 'to'"} {
		if name, ok := rollbackTo(sql); ok {
			t.Errorf("%q goes back to %q", sql, name)
		}
	}
}

func TestTheNameOfASavepointIsReadFromItsCommand(t *testing.T) {
	for sql, want := range map[string]string{
		"SAVEPOINT a": "a", "savepoint/* x */A1$ ;": "a1$", `;SAVEPOINT "A"`: "A", "RELEASE a": "a",
		"release savepoint B": "b", "SAVEPOINT U&\"a\"": "", "SAVEPOINT savepoint": "savepoint", "SAVEPOINT Ä": "Ä",
		"SAVEPOINT u": "u",
	} {
		if name := savepointOf(sql); name != want {
			t.Errorf("%q: %q, and not %q", sql, name, want)
		}
	}
}

func TestWhatATransactionCommandDoesIsReadFromItsText(t *testing.T) {
	for sql, want := range map[string]string{
		"begin": verbBegin, ";start transaction": verbBegin, "/* x */ end": verbCommit, "commit/**/work": verbCommit,
		"abort": verbRollback, "rollback transaction": verbRollback, "ROLLBACK AND NO CHAIN": verbRollback,
		"rollback work to a": verbRollbackTo, "ROLLBACK TO SAVEPOINT a": verbRollbackTo, "savepoint a": verbSavepoint,
		"release savepoint a": verbRelease, "commit prepared 'x'": verbTwoPhase, "rollback prepared 'x'": verbTwoPhase,
		"PREPARE TRANSACTION 'x'": verbTwoPhase, "prepare x as select 1": "", "SELECT 'commit'": "", "": "",
	} {
		if verb := verbOf(sql); verb != want {
			t.Errorf("%q: %q, and not %q", sql, verb, want)
		}
	}
	for sql, want := range map[string]bool{
		"COMMIT AND CHAIN": true, "rollback work and chain": true, "end transaction and/**/chain": true,
		"commit and no chain": false, "COMMIT": false, "BEGIN": false, "": false,
	} {
		if isChained(sql) != want {
			t.Errorf("%q: chained %t", sql, !want)
		}
	}
	for sql, want := range map[string]bool{
		"BEGIN READ ONLY": true, "start transaction isolation level serializable, read only": true, "BEGIN": false,
		"BEGIN READ WRITE": false, "begin read only, read write": false, "begin read write read only": true,
		"BEGIN -- READ ONLY": false, "set transaction read only": true,
	} {
		if isReadOnly(sql) != want {
			t.Errorf("%q: read only %t", sql, !want)
		}
	}
}
