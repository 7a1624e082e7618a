package session

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hypern/go/connection"
	"hypern/go/wire"
)

// Where nothing stays prepared, the guards of a statement are one query, since parsing is what they cost. It
// has no row, and fails with stateGuard, which hardly anything else raises, where one of its conditions does
// not hold. Describe's answer tells that they have held.
const (
	guardBegin = "select 1 where pg_catalog.like_escape(''::pg_catalog.text, case when "
	guardEnd   = " then ''::pg_catalog.text else 'no'::pg_catalog.text end) is null"
	stateGuard = "22025" // invalid_escape_sequence
)

// executedGuard is such a query in the making.
type executedGuard struct {
	conditions []string
	oids       []uint32 // the parameters' types, 0 where the text says it
	params     []*string
}

func (g *executedGuard) param(oid uint32, value *string) string {
	g.oids, g.params = append(g.oids, oid), append(g.params, value)
	return "$" + strconv.Itoa(len(g.params))
}

// composite adds the condition that an empty row of a type has these names and types, as the server sees it
// when the condition is evaluated, whatever the transaction's snapshot. No attribute is named in it, since
// `row.name` is a function's call where there is no such attribute.
func (g *executedGuard) composite(oid uint32, fields []connection.Field) {
	row, names, types := fieldLists(fields)
	place := g.param(oid, &row)
	g.conditions = append(g.conditions,
		"pg_catalog.row_to_json("+place+")::pg_catalog.text OPERATOR(pg_catalog.=) "+g.param(0, &names)+"::pg_catalog.text",
		"pg_catalog.record_send("+place+") OPERATOR(pg_catalog.=) "+g.param(0, &types)+"::pg_catalog.bytea")
}

// strictComposite adds the same condition for a type with attributes of a domain, which may not be NULL: its
// row is never made. How it expands is settled when the text is parsed.
func (g *executedGuard) strictComposite(oid uint32, fields []connection.Field) {
	_, names, types := fieldLists(fields)
	place := g.param(oid, nil)
	g.conditions = append(g.conditions, "(select pg_catalog.row_to_json(q.*)::pg_catalog.text OPERATOR(pg_catalog.=) "+
		g.param(0, &names)+"::pg_catalog.text and pg_catalog.record_send(q.*) OPERATOR(pg_catalog.=) "+
		g.param(0, &types)+"::pg_catalog.bytea from (select ("+place+").*) q)")
}

func (g *executedGuard) append(dst []byte) []byte {
	sql := guardBegin + strings.Join(g.conditions, " and ") + guardEnd
	dst = wire.AppendParse(dst, "", sql, g.oids)
	dst = wire.AppendBindValues(dst, guardPortal, "", g.params)
	dst = wire.AppendExecuteChunk(dst, guardPortal, 0)
	dst = wire.AppendClose(dst, 'P', guardPortal)
	return wire.AppendDescribe(dst, 'S', "")
}

// appendExecutedGuards appends the guards of a statement on a connection on which nothing stays prepared.
func (p *preparation) appendExecutedGuards(s *Session, dst []byte, shape *connection.Shape, late bool) ([]byte, int) {
	var g executedGuard
	commands := 1
	if late && shape.Strict {
		dst = s.conn.AppendAccept(dst, guardPortal)
		commands++
	} else if late {
		g.conditions = append(g.conditions, connection.AcceptCondition)
	}
	if s.movable() {
		text := func(value string) string { return g.param(0, &value) }
		g.conditions = append(g.conditions, connection.InstanceConditions(s.conn.Instance(), text)...)
	}
	for _, oid := range shape.Composites {
		if fields := shape.Catalog.Fields(oid); shape.Strict {
			g.strictComposite(oid, fields)
		} else {
			g.composite(oid, fields)
		}
	}
	p.guards.sent++
	return g.append(dst), commands
}

// guardFailure tells whether what came ahead of the rows of execute_many, or behind them once all have run,
// is what a guard fails with once a type has been altered.
func (o *many) guardFailure(s *Session, c *Call) bool {
	got := &s.op.got
	state := got.fault.SQLState
	if s.conn.KeepsGuards() {
		return got.commands >= got.binds && state == wire.StateFeatureNotSupported
	}
	if s.passed(c) < o.ahead {
		return got.commands+1 >= s.op.prefix && broken(state)
	}
	// Each command ahead of the rows has been parsed, and the rows' statement.
	parsed := len(frames(c.Ctl, '1')) - s.op.prefix - 1
	return parsed > 0 && broken(state) ||
		got.commands >= got.binds && slices.Contains([]string{"42601", "42704", "42809"}, state) // Bind has none of these
}

// fieldLists are what an empty row of a type is read from, the names of its attributes as the server's JSON
// has them, and their types as it sends them.
func fieldLists(fields []connection.Field) (row, names, types string) {
	list := []byte{'{'}
	record := make([]byte, 0, 2+2*4+len(fields)*16)
	record = fmt.Appendf(append(record, `\x`...), "%08x", len(fields))
	for i, f := range fields {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(appendJSON(list, f.Name), ":null"...)
		record = fmt.Appendf(record, "%08xffffffff", f.OID)
	}
	row = "(" + strings.Repeat(",", max(0, len(fields)-1)) + ")"
	return row, string(append(list, '}')), string(record)
}

// appendJSON appends a string with the escapes that the server uses.
func appendJSON(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case strings.IndexByte("\b\f\n\r\t", c) >= 0:
			dst = append(dst, '\\', "btn fr"[c-'\b'])
		default:
			dst = fmt.Appendf(dst, "\\u%04x", c)
		}
	}
	return append(dst, '"')
}
