package connection

import (
	"slices"
	"strconv"

	"hypern/go/wire"
)

// Shape is what a statement takes for granted of the database's own types: the attributes of the
// composite types that its parameters and columns are made of.
type Shape struct {
	Catalog    *Catalog
	Composites []uint32 // type OIDs, in ascending order
	Strict     bool     // some have attributes of a domain, which may not be NULL
	// Foreign is true if there is any type that is not built in: behind a pooler the next server may
	// know another one by its OID.
	Foreign bool
	// known is how many types the catalog had, if there are anonymous records: those are read by any
	// type that has been learned. Else it is -1.
	known int
}

// Anonymous records, and arrays of them.
const (
	recordOID      = 2249
	recordArrayOID = 2287
)

// Current reports whether the catalog has learned nothing since that the shape would have to include.
func (shape *Shape) Current() bool {
	if shape.known < 0 {
		return true
	}
	shape.Catalog.mu.Lock()
	defer shape.Catalog.mu.Unlock()
	return len(shape.Catalog.types) == shape.known
}

// firstNormalOID is where the OIDs of a database's own types begin.
const firstNormalOID = 16384

// Shape finds what a statement's types are made of.
func (k *Catalog) Shape(oids []uint32) *Shape {
	shape := &Shape{Catalog: k, known: -1}
	seen := make(map[uint32]bool)
	k.mu.Lock()
	defer k.mu.Unlock()
	var visit func(oid uint32)
	visit = func(oid uint32) {
		t, known := k.types[oid]
		if seen[oid] {
			return
		}
		seen[oid] = true
		shape.Foreign = shape.Foreign || oid >= firstNormalOID
		if !known {
			return
		}
		if t.Kind == 'c' {
			shape.Composites = append(shape.Composites, oid)
			for _, f := range t.Fields {
				shape.Strict = shape.Strict || k.types[f.OID].Kind == 'd'
				visit(f.OID)
			}
		}
		if t.Related != 0 {
			visit(t.Related)
		}
	}
	for _, oid := range oids {
		visit(oid)
		if oid == recordOID || oid == recordArrayOID {
			shape.known = len(k.types)
		}
	}
	if shape.known >= 0 {
		for oid := range k.types {
			visit(oid)
		}
	}
	slices.Sort(shape.Composites)
	return shape
}

// typeOf is a type of the catalog; the zero Type if it is not known.
func (k *Catalog) typeOf(oid uint32) Type {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.types[oid]
}

// Fields are the attributes of the composite type oid, in order.
func (k *Catalog) Fields(oid uint32) []Field { return k.typeOf(oid).Fields }

// guard is a statement prepared on a connection that the server refuses once a composite type has been
// altered: a row of the type, expanded. That it does not use the type's relation by name, but depends on
// it all the same, is the constant's doing: the server plans anew after each change of a relation whose
// regclass is in a statement, and finds that the result's columns have changed.
type guard struct {
	name    string
	catalog *Catalog // that the server's answer was compared with; nil: not yet
}

// KeepsGuards reports whether guards are prepared. They are even where the caller wants no statement
// kept, unless there may be a pooler: parsed each time, a guard takes as long as a short statement.
func (c *Conn) KeepsGuards() bool { return c.cache == CacheNamed || c.direct }

// LostStatements follows the loss of prepared statements without a command that dropped them: there may be a
// pooler that looks like a server.
func (c *Conn) LostStatements() {
	c.statements.ForgetAll()
	c.direct = false
}

// MissingGuards are the composite types of a shape that the connection has no guard for.
func (c *Conn) MissingGuards(shape *Shape) []uint32 {
	var missing []uint32
	for _, oid := range shape.Composites {
		if g := c.statements.guards[oid]; g == nil || g.catalog != shape.Catalog {
			missing = append(missing, oid)
		}
	}
	return missing
}

// AcceptCondition is true, and makes the server take in what other sessions have altered, which inside a
// transaction it does only where it takes a lock that it does not have yet: of all functions that everybody
// may call, this one does so each time. Its lock prevents nothing but dropping the schema pg_catalog.
const AcceptCondition = `pg_catalog.pg_get_object_address('schema'::pg_catalog.text, ` +
	`'{pg_catalog}'::pg_catalog.text[], '{}'::pg_catalog.text[]) is not null`

// acceptSQL has no row.
const acceptSQL = `select 1 where not ` + AcceptCondition

// AppendAccept has the server take in what other sessions have altered. It is one command, whose portal
// has the name given.
func (c *Conn) AppendAccept(dst []byte, portal string) []byte {
	if c.statements.accept == "" {
		if c.KeepsGuards() {
			c.statements.accept = c.statements.NewName()
		}
		dst = wire.AppendParse(dst, c.statements.accept, acceptSQL, nil)
	}
	dst = wire.AppendBindValues(dst, portal, c.statements.accept, nil)
	return wire.AppendClose(wire.AppendExecuteChunk(dst, portal, 0), 'P', portal)
}

// AppendGuard prepares the guard of a composite type, in place of an older one, and has it described.
func (c *Conn) AppendGuard(dst []byte, catalog *Catalog, oid uint32) []byte {
	if old := c.statements.guards[oid]; old != nil {
		dst = wire.AppendClose(dst, 'S', old.name)
	}
	g := &guard{name: c.statements.NewName()}
	c.statements.guards[oid] = g
	t := catalog.typeOf(oid)
	dst = wire.AppendParse(dst, g.name, guardSQL(t.Relation), []uint32{oid})
	return wire.AppendDescribe(dst, 'S', g.name)
}

// Guarded compares the server's description of a guard just prepared with the catalog.
func (c *Conn) Guarded(catalog *Catalog, oid uint32, columns []byte) bool {
	t := catalog.typeOf(oid)
	names, types, ok := wire.Columns(columns)
	if !ok || len(names) != len(t.Fields)+1 || c.statements.guards[oid] == nil {
		return false
	}
	for i, f := range t.Fields {
		if names[i] != f.Name || types[i] != catalog.Base(f.OID) {
			return false
		}
	}
	c.statements.guards[oid].catalog = catalog
	return true
}

// AppendGuards has the server check the guards of a shape, which it does without planning or running
// anything: Describe alone finds out whether a prepared statement's columns are still what they were.
func (c *Conn) AppendGuards(dst []byte, shape *Shape) []byte {
	for _, oid := range shape.Composites {
		dst = wire.AppendDescribe(dst, 'S', c.statements.guards[oid].name)
	}
	return dst
}

// guardSQL expands a row of the type that the parameter is declared with.
func guardSQL(relation uint32) string {
	return "select ($1).*, '" + strconv.FormatUint(uint64(relation), 10) + "'::pg_catalog.regclass"
}
