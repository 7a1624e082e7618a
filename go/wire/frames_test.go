package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func TestNextSplitsWholeFramesOffAndLeavesTheRest(t *testing.T) {
	f, rest, ok, err := Next([]byte("C\x00\x00\x00\x07abcZ\x00"))
	if !ok || err != nil || f.Kind != 'C' || string(f.Body) != "abc" || string(rest) != "Z\x00" {
		t.Errorf("%+v %q %t %v", f, rest, ok, err)
	}
	for _, part := range []string{"", "C", "C\x00\x00\x00", "C\x00\x00\x00\x07ab"} {
		if _, rest, ok, err := Next([]byte(part)); ok || err != nil || string(rest) != part {
			t.Errorf("%q: %q %t %v", part, rest, ok, err)
		}
	}
	for _, bad := range []string{"C\x00\x00\x00\x03", "C\x40\x00\x00\x01", "C\xff\xff\xff\xff"} {
		if _, _, ok, err := Next([]byte(bad)); ok || !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %t %v", bad, ok, err)
		}
	}
}

func TestCommandTagsAreSplitIntoWordAndRows(t *testing.T) {
	for text, want := range map[string]Tag{
		"SELECT 5\x00": {"SELECT", 5}, "INSERT 0 3\x00": {"INSERT", 3}, "COMMIT\x00": {"COMMIT", 0},
		"CREATE TABLE\x00": {"CREATE TABLE", 0}, "DEALLOCATE ALL\x00": {"DEALLOCATE ALL", 0},
		"DISCARD ALL\x00": {"DISCARD ALL", 0}, "PREPARE TRANSACTION\x00": {"PREPARE TRANSACTION", 0},
		"REFRESH MATERIALIZED VIEW\x00": {"REFRESH MATERIALIZED VIEW", 0}, "": {"", 0},
		"UPDATE 99999999999999999999\x00": {"UPDATE 99999999999999999999", 0}, "MERGE 2\x00": {"MERGE", 2},
	} {
		if got := ParseTag([]byte(text)); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestParseErrorReadsEveryField(t *testing.T) {
	f := ParseError([]byte("SFEHLER\x00VERROR\x00C23505\x00Mduplicate\x00Dkey\x00Hhint\x00P12\x00sschema\x00ttable\x00" +
		"ccolumn\x00dtype\x00nconstraint\x00Ffile.c\x00\x00"))
	want := Fault{Severity: "ERROR", SQLState: "23505", Message: "duplicate", Detail: "key", Hint: "hint", Position: 12,
		Schema: "schema", Table: "table", Column: "column", DataType: "type", Constraint: "constraint"}
	if *f != want {
		t.Errorf("%+v", f)
	}
	if f.Error() != "duplicate (SQLSTATE 23505)" || f.Fatal() {
		t.Errorf("%q, fatal %t", f.Error(), f.Fatal())
	}
	if f := ParseError([]byte("VFATAL\x00SFATAL\x00\x00")); !f.Fatal() || f.Message == "" {
		t.Errorf("%+v", f)
	}
}

func TestFaultsCrossAsJSONWithoutEmptyFields(t *testing.T) {
	row := int64(0)
	f := &Fault{Message: "m", Row: &row, Cause: &Fault{Message: "c", SQLState: "22012"}}
	if got := string(f.JSON()); got != `{"message":"m","row":0,"cause":{"sqlstate":"22012","message":"c"}}` {
		t.Error(got)
	}
	if got := string((&Fault{Message: "\xff"}).JSON()); got != `{"message":"`+"\\ufffd"+`"}` {
		t.Errorf("%q", got)
	}
}

func TestParameterOIDsAndTextRowsRefuseLengthsThatLie(t *testing.T) {
	oids, err := ParameterOIDs([]byte{0, 2, 0, 0, 0, 23, 0, 0, 0, 25})
	if err != nil || !slices.Equal(oids, []uint32{23, 25}) {
		t.Errorf("%v %v", oids, err)
	}
	row, err := TextRow([]byte("\x00\x03\x00\x00\x00\x02hi\xff\xff\xff\xff\x00\x00\x00\x00"))
	if err != nil || !slices.Equal(row, []string{"hi", "", ""}) {
		t.Errorf("%q %v", row, err)
	}
	for _, bad := range []string{"", "\x00", "\x00\x01", "\x00\x01\x00\x00\x00", "\x00\x01\x00\x00\x00\x02h", "\x00\x01\x7f\xff\xff\xff"} {
		if _, err := TextRow([]byte(bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("row %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "\x00", "\x00\x01", "\x00\x01\x00\x00\x00", "\x00\x01\x00\x00\x00\x02h", "\x00\x00h"} {
		if _, err := ParameterOIDs([]byte(bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("parameters %q: %v", bad, err)
		}
	}
}

// column is one column of a RowDescription.
func column(name string, table, typ uint32, format byte) []byte {
	b := append([]byte(name), 0)
	b = binary.BigEndian.AppendUint32(b, table)
	b = append(b, 0, 1)
	b = binary.BigEndian.AppendUint32(b, typ)
	return append(b, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, format)
}

func TestColumnsAreTheSameByNameAndType(t *testing.T) {
	rows := func(columns ...[]byte) []byte {
		return append([]byte{0, byte(len(columns))}, slices.Concat(columns...)...)
	}
	base := rows(column("a", 1, 23, 0), column("b", 1, 25, 0))
	for name, c := range map[string]struct {
		other []byte
		same  bool
	}{
		"itself":               {base, true},
		"formats and table":    {rows(column("a", 2, 23, 1), column("b", 2, 25, 1)), true},
		"another type":         {rows(column("a", 1, 23, 0), column("b", 1, 23, 0)), false},
		"another name":         {rows(column("a", 1, 23, 0), column("c", 1, 25, 0)), false},
		"another order":        {rows(column("b", 1, 25, 0), column("a", 1, 23, 0)), false},
		"fewer":                {rows(column("a", 1, 23, 0)), false},
		"none":                 {nil, false},
		"cut in a description": {base[:len(base)-1], false},
		"cut in a name":        {base[:3], false},
	} {
		if got := SameColumns(base, c.other); got != c.same {
			t.Errorf("%s: %t", name, got)
		}
		if got := SameColumns(c.other, base); got != c.same {
			t.Errorf("%s, the other way round: %t", name, got)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte("C\x00\x00\x00\x07abcZ\x00\x00\x00\x05I"))
	f.Add([]byte("D\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; ; {
			frame, after, ok, err := Next(rest)
			if err != nil || !ok {
				if !bytes.Equal(after, rest) {
					t.Fatal("bytes are lost without a frame")
				}
				return
			}
			if 5+len(frame.Body)+len(after) != len(rest) {
				t.Fatal("a frame and what follows it are not all there was")
			}
			rest = after
		}
	})
}

func FuzzParseError(f *testing.F) {
	f.Add([]byte("SERROR\x00C23505\x00Mduplicate\x00P12\x00\x00"))
	f.Add([]byte("M"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if fault := ParseError(b); fault.Message == "" || len(fault.JSON()) == 0 {
			t.Fatalf("%+v", fault)
		}
	})
}

func FuzzParseTag(f *testing.F) {
	f.Add([]byte("INSERT 0 3\x00"))
	f.Add([]byte(" 7"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tag := ParseTag(b); len(tag.Word) > len(b) {
			t.Fatalf("%+v", tag)
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x02hi\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := TextRow(b)
		if (err == nil) == (row == nil) {
			t.Fatalf("%q %v", row, err)
		}
		size := 0
		for _, v := range row {
			size += len(v)
		}
		if size > len(b) {
			t.Fatal("the row is larger than its message")
		}
	})
}

func FuzzSameColumns(f *testing.F) {
	one := append([]byte{0, 1}, column("a", 1, 23, 0)...)
	f.Add(one, one)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if SameColumns(a, b) != SameColumns(b, a) {
			t.Fatal("it depends on the order")
		}
	})
}
