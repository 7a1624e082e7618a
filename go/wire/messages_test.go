package wire

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
)

func TestAFaultCarriesTheBeginningOfAVeryLongText(t *testing.T) {
	long := strings.Repeat("é", sqlMax)
	f := &Fault{Message: "m", SQL: "select 1", Cause: &Fault{Message: "c", SQL: long}}
	var got Fault
	if err := json.Unmarshal(f.JSON(), &got); err != nil {
		t.Fatal(err)
	}
	if got.SQL != "select 1" || len(got.Cause.SQL) > sqlMax+30 || !strings.HasSuffix(got.Cause.SQL, "é ... (131072 bytes)") {
		t.Errorf("%q, %d bytes", got.SQL, len(got.Cause.SQL))
	}
	if f.Cause.SQL != long {
		t.Error("the fault itself was changed")
	}
}

func TestMessagesAreLaidOutAsTheProtocolSays(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"Parse":          {string(AppendParse(nil, "n", "q", []uint32{23})), "P\x00\x00\x00\x0en\x00q\x00\x00\x01\x00\x00\x00\x17"},
		"Describe":       {string(AppendDescribe(nil, 'S', "n")), "D\x00\x00\x00\x07Sn\x00"},
		"Close":          {string(AppendClose(nil, 'S', "n")), "C\x00\x00\x00\x07Sn\x00"},
		"Bind's head":    {string(AppendBindHead(nil, "p", "n", 10)), "B\x00\x00\x00\x12p\x00n\x00"},
		"Bind's names":   {string(AppendBindNames(nil, "", "n")), "\x00n\x00"},
		"Bind nothing":   {string(AppendBindNothing(nil, "n")), "B\x00\x00\x00\x0d\x00n\x00\x00\x00\x00\x00\x00\x00"},
		"Bind with text": {string(AppendBindText(nil, "", "hi")), "B\x00\x00\x00\x12\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02hi\x00\x00"},
		"Execute":        {string(AppendExecute(nil)), "E\x00\x00\x00\x09\x00\x00\x00\x00\x00"},
		"a chunk":        {string(AppendExecuteChunk(nil, "p", 258)), "E\x00\x00\x00\x0ap\x00\x00\x00\x01\x02"},
		"Sync":           {string(AppendSync(nil)), "S\x00\x00\x00\x04"},
		"Terminate":      {string(AppendTerminate(nil)), "X\x00\x00\x00\x04"},
		"Query":          {string(AppendQuery(nil, "q")), "Q\x00\x00\x00\x06q\x00"},
		"CopyFail":       {string(AppendCopyFail(nil, "no")), "f\x00\x00\x00\x07no\x00"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, and not %q", name, c.got, c.want)
		}
	}
}

func TestMessagesAreAppendedToWhatIsThere(t *testing.T) {
	b := AppendSync(AppendParse([]byte("before"), "", strings.Repeat("x", 300), nil))
	if !strings.HasPrefix(string(b), "beforeP") || !strings.HasSuffix(string(b), "S\x00\x00\x00\x04") {
		t.Errorf("%q", b)
	}
	if n := binary.BigEndian.Uint32(b[7:]); int(n) != 4+1+301+2 {
		t.Errorf("length %d", n)
	}
}
