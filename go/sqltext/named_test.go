package sqltext

import (
	"slices"
	"strings"
	"testing"
)

func TestNamed(t *testing.T) {
	for text, want := range map[string]struct {
		text  string
		names []string
	}{
		"select 1":                  {"select 1", nil},
		"select :a":                 {"select $1", []string{"a"}},
		"select :a, :b, :a":         {"select $1, $2, $1", []string{"a", "b"}},
		"select :a::int, :B:: text": {"select $1::int, $2:: text", []string{"a", "B"}},
		"select f(x := :a, y=>:b)":  {"select f(x := $1, y=>$2)", []string{"a", "b"}},
		"select ':a', E'\\':b', U&':c', \":d\", :e": {"select ':a', E'\\':b', U&':c', \":d\", $1", []string{"e"}},
		"select $$:a$$, $t$:b$$t$, :c -- :d":        {"select $$:a$$, $t$:b$$t$, $1 -- :d", []string{"c"}},
		"select /* :a /* :b */ :c */ :d":            {"select /* :a /* :b */ :c */ $1", []string{"d"}},
		"select x[1:n], x[:n], x[(:a):(:b)]":        {"select x[1:n], x[:n], x[($1):($2)]", []string{"a", "b"}},
		"select x[f(:a)], y[(:a)][:b], :b":          {"select x[f($1)], y[($1)][:b], $2", []string{"a", "b"}},
		"select E'a'\n  'b\\':c' :d":                {"select E'a'\n  'b\\':c' $1", []string{"d"}},
		"select E'a' -- no\n  'b':c":                {"select E'a' -- no\n  'b'$1", []string{"c"}},
		"select x:a":                                {"select x $1", []string{"a"}},
		"select :été, :_a1":                         {"select $1, $2", []string{"été", "_a1"}},
		"select :1, : a, ':'":                       {"select :1, : a, ':'", nil},
	} {
		got, names, problem := Named(text)
		if got != want.text || !slices.Equal(names, want.names) || problem != nil {
			t.Errorf("%s: %s %v %v", text, got, names, problem)
		}
	}
}

func TestNamedProblems(t *testing.T) {
	for text, want := range map[string]string{
		"select :a, $1":              "both :a and $1",
		"select\n 'it:a":             "begins in line 2",
		"select :a, \"b":             "begins in line 1",
		"select :a, $x$ b":           "has no end",
		"select :a\n\n /* /* */ b":   "begins in line 3",
		"select :a, E'b'\n 'c\\' :d": "has no end",
	} {
		if _, _, problem := Named(text); problem == nil || !strings.Contains(problem.Message, want) {
			t.Errorf("%q: %v", text, problem)
		}
	}
	if _, _, problem := Named("select 'no name"); problem != nil {
		t.Error(problem) // the server's to refuse
	}
}

func TestMarks(t *testing.T) {
	text := `select $1, '$2', "a""b", U&"c", /* $3 */ x$4`
	var got []string
	for _, m := range Marks(text) {
		got = append(got, text[m.Start:m.End])
	}
	if want := []string{"$1", `"a""b"`, `U&"c"`}; !slices.Equal(got, want) {
		t.Error(got)
	}
}

func FuzzNamed(f *testing.F) {
	f.Add("select :a, x[(:b):2], '", 3)
	f.Fuzz(func(t *testing.T, text string, position int) {
		if rewritten, names, problem := Named(text); problem == nil {
			if _, again, _ := Named(rewritten); again != nil {
				t.Fatalf("%q: names are left in %q", text, rewritten)
			}
			if names == nil && rewritten != text {
				t.Fatalf("%q was changed", text)
			}
		}
		if offset := OffsetOf(text, position); offset < 0 || offset > len(text) {
			t.Fatal(offset)
		}
	})
}
