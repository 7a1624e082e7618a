package session

import (
	"strings"
	"testing"

	"hypern/go/wire"
)

func TestPlaceholdersOfOtherDrivers(t *testing.T) {
	for sql, want := range map[string]string{
		"select * from t where a = %s":            "in place of %s",
		"insert into t values (%s, %s)":           "in place of %s",
		"select * from t where a = %(name)s":      "in place of %s",
		"select * from t limit %s":                "in place of %s",
		"select * from t where a = ?":             "in place of ?",
		"insert into t values (?, ?)":             "in place of ?",
		"select * from t where a in $1":           "= ANY($1)",
		"select * from t where a = :name":         "a dict for :name",
		"select '%s', '?' from t where a = 7 % s": "",
		"select a ? 'x', a ?| b, c::int foo bar":  "",
		"select a % (b + 1)":                      "",
		"selec 1":                                 "",
	} {
		got := placeholderHint(&wire.Fault{SQLState: wire.StateSyntaxError}, sql).Hint
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q", sql, got)
		}
	}
	if hint := placeholderHint(&wire.Fault{SQLState: "23505"}, "select ?").Hint; hint != "" {
		t.Error(hint)
	}
}
