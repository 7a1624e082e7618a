package session

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"unsafe"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/process"
	"hypern/go/wire"
)

// typesSQL describes types by OID. search_path is the application's, and others may create in its schemas:
// not only names, each operator is qualified, and each constant is of the type that its operator takes.
const typesSQL = `select t.oid, t.typtype, t.typcategory, t.typdelim,
 (t.typelem OPERATOR(pg_catalog.<>) 0::pg_catalog.oid and t.typlen OPERATOR(pg_catalog.=) (-1)::pg_catalog.int2
  and t.typcategory OPERATOR(pg_catalog.=) 'A'::pg_catalog."char")::pg_catalog.int4,
 case when t.typtype OPERATOR(pg_catalog.=) 'd'::pg_catalog."char" then t.typbasetype
  when t.typtype OPERATOR(pg_catalog.=) 'r'::pg_catalog."char"
   then (select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid OPERATOR(pg_catalog.=) t.oid)
  when t.typtype OPERATOR(pg_catalog.=) 'm'::pg_catalog."char"
   then (select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid OPERATOR(pg_catalog.=) t.oid)
  else t.typelem end,
 t.typname, n.nspname, t.typrelid,
 (select pg_catalog.json_agg(pg_catalog.json_build_array(a.atttypid::pg_catalog.int8, a.attname) order by a.attnum)
  from pg_catalog.pg_attribute a
  where t.typtype OPERATOR(pg_catalog.=) 'c'::pg_catalog."char" and a.attrelid OPERATOR(pg_catalog.=) t.typrelid
   and a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 and not a.attisdropped)
from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid OPERATOR(pg_catalog.=) t.typnamespace
where t.oid OPERATOR(pg_catalog.=) any ($1::pg_catalog.oid[])`

// typesOnAnySQL also names the server, where a pooler may have answered the question before from another.
const typesOnAnySQL = "select q.*, (" + connection.InstanceSQL + ") from (" + typesSQL + ") q"

// columnsSQL finds the columns of tables that are of a domain: a result's description names its base.
const columnsSQL = `select a.attrelid, a.attnum, a.atttypid
from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid OPERATOR(pg_catalog.=) a.atttypid
where a.attrelid OPERATOR(pg_catalog.=) any ($1::pg_catalog.oid[]) and not a.attisdropped
 and t.typtype OPERATOR(pg_catalog.=) 'd'::pg_catalog."char"`

// nullsSQL finds which columns of tables are NOT NULL, by themselves or by their domain. A view's columns have
// no such mark.
const nullsSQL = `select a.attrelid, a.attnum, (a.attnotnull or t.typnotnull)::pg_catalog.int4
from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid OPERATOR(pg_catalog.=) a.atttypid
 join pg_catalog.pg_class c on c.oid OPERATOR(pg_catalog.=) a.attrelid
where a.attrelid OPERATOR(pg_catalog.=) any ($1::pg_catalog.oid[])
 and a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 and not a.attisdropped
 and c.relkind OPERATOR(pg_catalog.=) any ('{r,p,f}'::pg_catalog."char"[])`

// namesSQL tells what types are named by now.
const namesSQL = `select t.oid, n.nspname, t.typname
from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid OPERATOR(pg_catalog.=) t.typnamespace
where t.oid OPERATOR(pg_catalog.=) any ($1::pg_catalog.oid[])`

// namesOnAnySQL also names the server, as typesOnAnySQL does.
const namesOnAnySQL = "select q.*, (" + connection.InstanceSQL + ") from (" + namesSQL + ") q"

// oidList is a list of OIDs as the server reads an array.
func oidList(oids []uint32) string {
	list := []byte{'{'}
	for i, oid := range oids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendUint(list, uint64(oid), 10)
	}
	return string(append(list, '}'))
}

// appendNames has the server name the types of the catalog, behind the description of a statement, where the
// caller has registered converters, which go by names, and the names are not known since the moment given.
func (p *preparation) appendNames(s *Session, c *Call, since process.Moment) {
	catalog := p.statement.Catalog
	if p.naming = nil; !p.registered || catalog.NamedSince(since) {
		return
	}
	p.naming = catalog.OIDs()
	sql := namesSQL
	if s.movable() {
		sql = namesOnAnySQL
	}
	c.Head = wire.AppendParse(c.Head, "", sql, nil)
	c.Head = wire.AppendExecute(wire.AppendBindText(c.Head, "", oidList(p.naming)))
}

// named takes in what appendNames has asked for: under other names the types are learned anew.
func (p *preparation) named(s *Session) {
	st := p.statement
	now := make(map[uint32][2]string, len(p.naming))
	for _, row := range s.op.got.data {
		if len(row) > 3 && row[3] != s.conn.Instance() {
			s.conn.MoveTo(row[3])
			st.Catalog = s.conn.Catalog()
			return
		}
		if oid, err := strconv.ParseUint(row[0], 10, 32); err == nil && len(row) >= 3 {
			now[uint32(oid)] = [2]string{row[1], row[2]}
		}
	}
	if !st.Catalog.Names(p.naming, now, p.now) {
		s.conn.RenewCatalog(st.Catalog, s.tx.server != 'I' && !s.nests())
		st.Catalog = s.conn.Catalog()
	}
}

// describeTypes asks the server for the types, or the columns of the tables, whose OIDs the step carries.
func (p *preparation) describeTypes(s *Session, c *Call) {
	var oids []uint32
	raw := unsafe.Slice(unsafe.StringData(c.SQL), len(c.SQL))
	for i := 0; i+4 <= len(raw); i += 4 {
		oids = append(oids, binary.NativeEndian.Uint32(raw[i:]))
	}
	sql := typesSQL
	if s.movable() {
		sql = typesOnAnySQL
	}
	if p.columns = c.has(abi.InColumns); p.columns {
		sql = columnsSQL
		if c.has(abi.InNulls) {
			sql = nullsSQL
		} else {
			s.conn.AskedColumns(p.statement)
		}
	}
	c.Head = wire.AppendParse(c.Head, "", sql, nil)
	c.Head = wire.AppendBindText(c.Head, "", oidList(oids))
	c.Head = wire.AppendExecute(c.Head)
	s.op.prefix = 0
	s.sendSync(c, phaseTypes, abi.IORaw)
}

// typesDescribed hands the rows over in the form the header gives for WANT_TYPES.
func (p *preparation) typesDescribed(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	if got.fault != nil {
		s.finish(c, got.fault)
		return
	}
	for _, row := range got.data {
		var err error
		if p.columns {
			c.Out, err = appendColumn(c.Out, row)
		} else {
			c.Out, err = p.takeType(s, c.Out, row)
		}
		if err != nil {
			c.fail(&wire.Fault{Kind: wire.KindOperational, Message: "the server described a type in an unknown way: " + err.Error()})
			return
		}
	}
	s.op.phase = phaseEncode
	c.Want = abi.WantTypes
}

// takeType keeps a type in the connection's catalog and appends it for C's.
func (p *preparation) takeType(s *Session, dst []byte, row []string) ([]byte, error) {
	if len(row) < typeColumns {
		return nil, wire.ErrProtocol
	}
	if len(row) > typeColumns && row[typeColumns] != s.conn.Instance() {
		s.conn.MoveTo(row[typeColumns])
		return nil, errMoved
	}
	dst, oid, t, err := appendType(dst, row)
	if err == nil {
		p.statement.Catalog.Add(oid, t)
	}
	return dst, err
}

var errMoved = errors.New("it is another server than the one before; run the statement again")

// appendColumn appends a row of columnsSQL.
func appendColumn(dst []byte, row []string) ([]byte, error) {
	for _, text := range row {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		dst = binary.NativeEndian.AppendUint32(dst, uint32(n))
	}
	return dst, nil
}

// typeColumns is the number of columns of typesSQL.
const typeColumns = 10

func appendType(dst []byte, row []string) ([]byte, uint32, connection.Type, error) {
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
	related, errRelated := number(row[5])
	relation, errRelation := number(row[8])
	if err := errors.Join(err, errRelated, errRelation); err != nil {
		return nil, 0, connection.Type{}, err
	}
	t := connection.Type{Schema: row[7], Name: row[6], Kind: letter(row[1]), Related: related, Relation: relation}
	dst = binary.NativeEndian.AppendUint32(dst, oid)
	dst = append(dst, t.Kind, letter(row[2]), letter(row[3]), letter(row[4])-'0')
	dst = binary.NativeEndian.AppendUint32(dst, related)
	dst = str(str(dst, row[6]), row[7])
	var fields [][2]any
	if row[9] != "" {
		if err := json.Unmarshal([]byte(row[9]), &fields); err != nil {
			return nil, 0, connection.Type{}, err
		}
	}
	dst = binary.NativeEndian.AppendUint16(dst, uint16(len(fields)))
	for _, f := range fields {
		fieldOID, _ := f[0].(float64)
		name, _ := f[1].(string)
		t.Fields = append(t.Fields, connection.Field{Name: name, OID: uint32(fieldOID)})
		dst = str(binary.NativeEndian.AppendUint32(dst, uint32(fieldOID)), name)
	}
	return dst, oid, t, nil
}
