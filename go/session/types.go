package session

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"unsafe"

	"hypern/go/abi"
	"hypern/go/wire"
)

// typesSQL describes types by OID. Every name is qualified: search_path is the application's.
const typesSQL = `select t.oid, t.typtype, t.typcategory, t.typdelim,
 (t.typelem <> 0 and t.typlen = -1 and t.typcategory = 'A')::int4,
 case t.typtype when 'd' then t.typbasetype
  when 'r' then (select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid)
  when 'm' then (select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = t.oid)
  else t.typelem end,
 t.typname, n.nspname,
 (select pg_catalog.json_agg(pg_catalog.json_build_array(a.atttypid::int8, a.attname) order by a.attnum)
  from pg_catalog.pg_attribute a
  where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)
from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.oid = any ($1::pg_catalog.oid[])`

// describeTypes asks the server for the types whose OIDs the step carries.
func (s *Session) describeTypes(c *Call) {
	var list strings.Builder
	list.WriteByte('{')
	raw := unsafe.Slice(unsafe.StringData(c.SQL), len(c.SQL))
	for i := 0; i+4 <= len(raw); i += 4 {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(strconv.FormatUint(uint64(binary.NativeEndian.Uint32(raw[i:])), 10))
	}
	list.WriteByte('}')
	c.Head = wire.AppendParse(c.Head, "", typesSQL, nil)
	c.Head = wire.AppendBindText(c.Head, "", list.String())
	c.Head = wire.AppendSync(wire.AppendExecute(c.Head))
	s.op.prefix = 0
	s.beginIO(phaseTypes)
	c.io(abi.IORaw, 1)
}

// typesDescribed hands the rows over in the form the header gives for WANT_TYPES.
func (s *Session) typesDescribed(c *Call) {
	got := &s.op.got
	s.ready(got)
	if got.fault != nil {
		s.told = true
		c.fail(got.fault)
		return
	}
	for _, row := range got.data {
		out, err := appendType(c.Out, row)
		if err != nil {
			c.fail(&wire.Fault{Kind: wire.KindOperational, Message: "the server described a type in an unknown way: " + err.Error()})
			return
		}
		c.Out = out
	}
	s.op.phase = phaseEncode
	c.Want = abi.WantTypes
}

func appendType(dst []byte, row []string) ([]byte, error) {
	if len(row) != 9 {
		return nil, wire.ErrProtocol
	}
	number := func(text string) (uint32, error) {
		if text == "" {
			return 0, nil
		}
		n, err := strconv.ParseUint(text, 10, 32)
		return uint32(n), err
	}
	str := func(dst []byte, text string) []byte {
		return append(binary.NativeEndian.AppendUint16(dst, uint16(len(text))), text...)
	}
	letter := func(text string) byte {
		if text == "" {
			return 0
		}
		return text[0]
	}
	oid, err := number(row[0])
	if err != nil {
		return nil, err
	}
	related, err := number(row[5])
	if err != nil {
		return nil, err
	}
	dst = binary.NativeEndian.AppendUint32(dst, oid)
	dst = append(dst, letter(row[1]), letter(row[2]), letter(row[3]), letter(row[4])-'0')
	dst = binary.NativeEndian.AppendUint32(dst, related)
	dst = str(str(dst, row[6]), row[7])
	var fields [][2]any
	if row[8] != "" {
		if err := json.Unmarshal([]byte(row[8]), &fields); err != nil {
			return nil, err
		}
	}
	dst = binary.NativeEndian.AppendUint16(dst, uint16(len(fields)))
	for _, f := range fields {
		fieldOID, _ := f[0].(float64)
		name, _ := f[1].(string)
		dst = str(binary.NativeEndian.AppendUint32(dst, uint32(fieldOID)), name)
	}
	return dst, nil
}
