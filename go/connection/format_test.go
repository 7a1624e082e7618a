package connection

import (
	"testing"

	"hypern/go/sqltext"
)

func TestWhatIsKnownOfDigits(t *testing.T) {
	for sql, want := range map[string]struct{ prints, sure bool }{
		"SET search_path = public":                           {true, true},
		"SET Extra_Float_Digits = 0":                         {false, true},
		"SELECT set_config('extra_float_digits', '0', true)": {true, false},
		"DO $$ BEGIN END $$":                                 {true, false},
		"SELECT 1":                                           {true, true},
	} {
		c := &Conn{statements: newStatements(8)}
		c.knowDigits([]string{"1"})
		st := &Statement{SQL: sql, Effect: sqltext.Examine(sql, nil)}
		word := map[byte]string{'S': "SET", 'D': "DO"}[sql[0]]
		if sql[1] == 'E' && sql[2] == 'L' {
			word = "SELECT"
		}
		c.statements.completed(word, st)
		if prints, sure := c.PrintsDigits(); prints != want.prints || sure != want.sure {
			t.Errorf("%s: prints %v, sure %v", sql, prints, sure)
		}
		c.statements.reset(0)
		if prints, sure := c.PrintsDigits(); !prints || !sure {
			t.Errorf("%s, and a reset: prints %v, sure %v", sql, prints, sure)
		}
	}
	for _, row := range [][]string{{"0"}, {"-15"}, {""}, {}} {
		c := &Conn{statements: newStatements(8)}
		c.knowDigits(row)
		if prints, _ := c.PrintsDigits(); prints {
			t.Errorf("a connection that began with %q is taken to print all digits", row)
		}
	}
}
