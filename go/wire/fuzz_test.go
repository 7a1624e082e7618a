package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func FuzzNextLosesNoByte(f *testing.F) {
	f.Add([]byte("C\x00\x00\x00\x07abcZ\x00\x00\x00\x05I"))
	f.Add([]byte("C\x00\x00\x00\x03"))
	f.Add([]byte("D\xff\xff\xff\xffx"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var again []byte
		rest := input
		for {
			frame, next, ok, err := Next(rest)
			if !ok {
				if !bytes.Equal(next, rest) || (err != nil && len(rest) < 5) {
					t.Fatalf("%q: %q %v", rest, next, err)
				}
				break
			}
			again = append(again, frame.Kind)
			again = binary.BigEndian.AppendUint32(again, uint32(len(frame.Body)+4))
			again = append(again, frame.Body...)
			rest = next
		}
		if again = append(again, rest...); !bytes.Equal(again, input) {
			t.Fatalf("%q became %q", input, again)
		}
	})
}

func FuzzBodiesAreReadAsPgprotoReadsThem(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x17\x00\x00\x00\x19"))
	f.Add([]byte("\x00\x02\x00\x00\x00\x01x\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x01\x7f\xff\xff\xffx"))
	f.Add([]byte("SERROR\x00C23505\x00Mduplicate\x00P12\x00\x00"))
	f.Add([]byte("INSERT 0 3\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if oids, err := ParameterOIDs(body); err == nil {
			var theirs pgproto3.ParameterDescription
			if err := theirs.Decode(body); err != nil || len(theirs.ParameterOIDs) != len(oids) {
				t.Fatalf("%q: %v, but pgproto3: %v %v", body, oids, theirs.ParameterOIDs, err)
			}
		}
		row, err := TextRow(body)
		var theirs pgproto3.DataRow
		if pgErr := theirs.Decode(body); pgErr == nil {
			if err != nil || len(row) != len(theirs.Values) {
				t.Fatalf("%q: %v %v, but pgproto3: %v", body, row, err, theirs.Values)
			}
			for i, value := range theirs.Values {
				if string(value) != row[i] {
					t.Fatalf("%q: column %d is %q, but pgproto3: %q", body, i, row[i], value)
				}
			}
		}
		if fault := ParseError(body); fault.Message == "" || len(fault.JSON()) == 0 {
			t.Fatalf("%q: %+v", body, fault)
		}
		if tag := ParseTag(body); len(tag.Word) > len(body) {
			t.Fatalf("%q: %+v", body, tag)
		}
		if part := body[:len(body)*3/4]; SameColumns(body, part) != SameColumns(part, body) {
			t.Fatalf("%q: its columns are those of its part one way only", body)
		}
	})
}

func FuzzWhatWeSendIsReadAsItWasMeant(f *testing.F) {
	f.Add("a name", "SELECT $1", uint32(23), int32(50))
	f.Fuzz(func(t *testing.T, name, sql string, oid uint32, limit int32) {
		if strings.ContainsRune(name+sql, 0) {
			t.Skip("PostgreSQL's strings end at a zero")
		}
		sent := AppendParse(nil, name, sql, []uint32{oid})
		sent = AppendDescribe(sent, 'S', name)
		sent = AppendBindText(sent, name, sql, "")
		sent = AppendExecuteChunk(sent, "", limit)
		sent = AppendClose(sent, 'P', name)
		sent = AppendQuery(sent, sql)
		sent = AppendSync(sent)
		backend := pgproto3.NewBackend(bytes.NewReader(sent), nil)
		for i, want := range []func(pgproto3.FrontendMessage) bool{
			func(m pgproto3.FrontendMessage) bool {
				parse, ok := m.(*pgproto3.Parse)
				return ok && parse.Name == name && parse.Query == sql && parse.ParameterOIDs[0] == oid
			},
			func(m pgproto3.FrontendMessage) bool {
				describe, ok := m.(*pgproto3.Describe)
				return ok && describe.ObjectType == 'S' && describe.Name == name
			},
			func(m pgproto3.FrontendMessage) bool {
				bind, ok := m.(*pgproto3.Bind)
				return ok && bind.PreparedStatement == name && len(bind.Parameters) == 2 &&
					string(bind.Parameters[0]) == sql && len(bind.Parameters[1]) == 0
			},
			func(m pgproto3.FrontendMessage) bool {
				execute, ok := m.(*pgproto3.Execute)
				return ok && execute.Portal == "" && execute.MaxRows == uint32(limit)
			},
			func(m pgproto3.FrontendMessage) bool {
				closing, ok := m.(*pgproto3.Close)
				return ok && closing.ObjectType == 'P' && closing.Name == name
			},
			func(m pgproto3.FrontendMessage) bool {
				query, ok := m.(*pgproto3.Query)
				return ok && query.String == sql
			},
			func(m pgproto3.FrontendMessage) bool {
				_, ok := m.(*pgproto3.Sync)
				return ok
			},
		} {
			message, err := backend.Receive()
			if err != nil || !want(message) {
				t.Fatalf("message %d: %+v %v", i, message, err)
			}
		}
	})
}
