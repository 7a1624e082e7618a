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
		c := &Conn{statements: newStatements(8), params: map[string]string{"DateStyle": "ISO, MDY"}}
		c.knowPrints([]string{"1", "ISO, MDY"})
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
	for _, row := range [][]string{{"0", "ISO, MDY"}, {"-15", "ISO, MDY"}, {"", "ISO, MDY"}, {}} {
		c := &Conn{statements: newStatements(8), params: map[string]string{"DateStyle": "ISO, MDY"}}
		c.knowPrints(row)
		if prints, _ := c.PrintsDigits(); prints {
			t.Errorf("a connection that began with %q is taken to print all digits", row)
		}
	}
}

func TestADateStyleThatAPoolerReportsOfAnotherServerIsNotTrusted(t *testing.T) {
	for _, reported := range []string{"ISO, MDY", "German, DMY"} {
		c := &Conn{params: map[string]string{"DateStyle": reported}}
		c.knowPrints([]string{"1", "ISO, MDY"})
		if want := reported == "ISO, MDY"; c.PrintsISO(false) != want || c.otherStyle == want {
			t.Errorf("%s: prints ISO %v", reported, c.PrintsISO(false))
		}
	}
	c := &Conn{params: map[string]string{"DateStyle": "ISO, MDY"}}
	c.knowPrints([]string{"1", "German, DMY"})
	if c.PrintsISO(false) || c.PrintsISO(true) {
		t.Error("a report that was wrong is believed")
	}
}
