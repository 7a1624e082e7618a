package session

import (
	"testing"

	"hypern/go/wire"
)

func TestWhatACopyDoesNext(t *testing.T) {
	fault := &wire.Fault{}
	for name, test := range map[string]struct {
		got  answer
		want copyAct
	}{
		"nothing":                    {answer{}, copyWait},
		"its BEGIN":                  {answer{commands: 1, ours: 1}, copyWait},
		"asked for data":             {answer{commands: 1, ours: 1, copying: 'G'}, copyFeed},
		"refused":                    {answer{fault: fault}, copySync},
		"refused behind the request": {answer{copying: 'G', fault: fault}, copySync},
		"done without data":          {answer{commands: 2, ours: 1}, copySync},
		"sends data":                 {answer{copying: 'H'}, copyStop},
		"over":                       {answer{copying: 'G', fault: fault, status: 'I'}, copyOver},
	} {
		if act := test.got.act(); act != test.want {
			t.Errorf("%s: %d, want %d", name, act, test.want)
		}
	}
}

func TestWhereInTheDataAnErrorIs(t *testing.T) {
	for where, want := range map[string]struct {
		row    int64
		column string
	}{
		"COPY t, line 3, column a: \"secret\"":                  {2, "a"},
		"COPY t, line 70001":                                    {70000, ""},
		"COPY t, line 1: \"1, 5, secret\"":                      {0, ""},
		"COPY t, Zeile 2, Spalte b: NULL-Eingabe":               {1, "b"},
		"PL/pgSQL function f() line 9 at RAISE\nCOPY t, line 2": {1, ""},
		"SQL statement":                                         {-1, ""},
	} {
		fault := &wire.Fault{Where: where}
		(&copying{encoded: true}).locate(fault)
		row := int64(-1)
		if fault.Row != nil {
			row = *fault.Row
		}
		if row != want.row || fault.Column != want.column {
			t.Errorf("%q: row %d, column %q", where, row, fault.Column)
		}
	}
}

func TestTheCopyOfAnInsert(t *testing.T) {
	got := copyOf(`INSERT INTO "s"."t" ("a", "x VALUES (") VALUES ($1, $2)`)
	if want := `COPY "s"."t" ("a", "x VALUES (") FROM STDIN (FORMAT binary)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
