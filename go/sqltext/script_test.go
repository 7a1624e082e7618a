package sqltext

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for script, want := range map[string][]string{
		"":                               nil,
		" ; -- a\n;; /* b; */ ":          nil,
		"a; b ;c":                        {"a", "b", "c"},
		"-- x\n a /* y */;\n\n b -- z\n": {"a", "b"},
		"select ';', \";\", $$;$$, $x$;$$;$x$, E'\\';'; b": {
			"select ';', \";\", $$;$$, $x$;$$;$x$, E'\\';'", "b"},
		"create rule r as on insert to t do also (a; b); c": {
			"create rule r as on insert to t do also (a; b)", "c"},
		"create function f() returns int begin atomic select case when 1=1 then 2 end; select 3; end; b": {
			"create function f() returns int begin atomic select case when 1=1 then 2 end; select 3; end", "b"},
		"create or replace procedure f() begin atomic; insert into t values (1); end; b": {
			"create or replace procedure f() begin atomic; insert into t values (1); end", "b"},
		"create table t (begin int, atomic int); end; b": {"create table t (begin int, atomic int)", "end", "b"},
		"\\restrict x'y\na;\n\\unrestrict x'y\n":         {"a"},
		"select ')'; a":                                  {"select ')'", "a"},
		"select 1); a":                                   {"select 1)", "a"},
		"a; 'never ends; b":                              {"a", "'never ends; b"},
		"é; ü":                                           {"é", "ü"},
	} {
		text, parts, problem := Split(script)
		var got []string
		for _, p := range parts {
			got = append(got, text[p.Start:p.End])
		}
		if problem != nil || !slices.Equal(got, want) || len(text) != len(script) {
			t.Errorf("%q: %q %v", script, got, problem)
		}
	}
}

func TestTransactionCommandsOfAScript(t *testing.T) {
	for text, want := range map[string]string{
		"begin": "BEGIN", "Start Transaction read only": "START TRANSACTION", "commit": "COMMIT", "END": "END",
		"rollback to x": "ROLLBACK", "abort": "ABORT", "savepoint a": "SAVEPOINT", "release a": "RELEASE",
		"prepare transaction 'x'": "PREPARE TRANSACTION", "prepare p as select 1": "", "start": "", "select 'commit'": "",
		"create procedure p() begin atomic end": "", "do $$ begin commit; end $$": "", "/* x */ commit": "COMMIT",
	} {
		if _, parts, _ := Split(text); len(parts) != 1 || parts[0].Control != want {
			t.Errorf("%s: %v", text, parts)
		}
	}
}

func TestProblemsOfAScript(t *testing.T) {
	for script, want := range map[string]struct {
		line     int
		position int
		text     string
	}{
		"a;\n\\copy t from 'x'\n":        {2, 4, `\copy`},
		"a;\nselect 1 \\gset\n":          {2, 13, `\gset`},
		"a;\n\ncopy t from stdin;\n1\\t": {3, 5, "COPY with STDIN"},
		"copy (select 1) to STDOUT":      {1, 1, "COPY with STDOUT"},
		"é;\n\\.":                        {2, 4, `\.`},
		"\\restrictive\n":                {1, 1, `\restrictive`},
	} {
		_, _, problem := Split(script)
		if problem == nil || problem.Line != want.line || problem.Position != want.position || !strings.Contains(problem.Message, want.text) {
			t.Errorf("%q: %+v", script, problem)
		}
	}
	if _, _, problem := Split("copy t from '/stdin'; copy (select stdin from t) to '/x'; copy stdin (stdout) from '/y'; select stdin from copy"); problem != nil {
		t.Error(problem)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("create function f() begin atomic (; case ';' end; \\restrict x\n $a$ ; $a$")
	f.Fuzz(func(t *testing.T, script string) {
		text, parts, problem := Split(script)
		if problem != nil {
			return
		}
		if len(text) != len(script) {
			t.Fatal("the text has another length")
		}
		end := 0
		for _, p := range parts {
			if p.Start < end || p.End <= p.Start || p.End > len(text) {
				t.Fatalf("%q: %v", script, parts)
			}
			end = p.End
		}
	})
}
