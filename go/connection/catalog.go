package connection

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"

	"hypern/go/process"
)

// serversMax bounds how many databases a pool remembers that its address has led to.
const serversMax = 16

// lastCatalog numbers catalogs across all pools: C may keep a catalog for longer than a pool exists.
var lastCatalog atomic.Uint64

// Catalog is what is known of a database's own types. It is never corrected: where the database turns
// out to differ, another one with a new number replaces it, and everything is learned anew.
type Catalog struct {
	Number uint64

	mu    sync.Mutex // guards what follows
	types map[uint32]Type
	named process.Moment // the types had their names then
}

func newCatalog() *Catalog {
	return &Catalog{Number: lastCatalog.Add(1), types: make(map[uint32]Type), named: process.Now()}
}

// Type is a type as the catalog describes it.
type Type struct {
	Schema   string
	Name     string
	Kind     byte   // pg_type.typtype
	Related  uint32 // element, base type, range subtype or a multirange's range; 0: none
	Relation uint32 // of a composite type
	Fields   []Field
}

// Field is an attribute of a composite type.
type Field struct {
	Name string
	OID  uint32
}

// Add adds a type.
func (k *Catalog) Add(oid uint32, t Type) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.types[oid] = t
}

// NamedSince reports whether the types are known to have had their names at this moment or later.
func (k *Catalog) NamedSince(then process.Moment) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.types) == 0 || k.named >= then
}

// OIDs are those of all types of the catalog.
func (k *Catalog) OIDs() []uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.types))
}

// Names compares the names that the types among oids have on the server at this moment, by OID, as schema and
// name, and reports whether they are those of the catalog.
func (k *Catalog) Names(oids []uint32, now map[uint32][2]string, moment process.Moment) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, oid := range oids {
		if t := k.types[oid]; now[oid] != [2]string{t.Schema, t.Name} {
			return false
		}
	}
	k.named = max(k.named, moment)
	return true
}

// Base is the type that the server names for a column of type oid: a domain's base.
func (k *Catalog) Base(oid uint32) uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	for range len(k.types) {
		t, known := k.types[oid]
		if !known || t.Kind != 'd' || t.Related == 0 {
			break
		}
		oid = t.Related
	}
	return oid
}

// server is a database on a running server, one of those that the pool's address leads to.
type server struct {
	instance string                  // the result of InstanceSQL; "" where that cannot run
	catalog  atomic.Pointer[Catalog] // shared by all connections to it
}

// servers are the databases that the pool's connections have reached, by identity.
type servers struct {
	mu         sync.Mutex
	byIdentity map[string]*server
}

// get finds a server by its identity: the system identifier, where it can be had, and the instance.
func (s *servers) get(system, instance string) *server {
	identity := system + " " + instance
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byIdentity[identity]; known != nil {
		return known
	}
	if s.byIdentity == nil || len(s.byIdentity) >= serversMax {
		s.byIdentity = make(map[string]*server) // connections keep theirs
	}
	added := &server{instance: instance}
	added.catalog.Store(newCatalog())
	s.byIdentity[identity] = added
	return added
}

// Catalog is what is known of the types on the connection's server.
func (c *Conn) Catalog() *Catalog {
	if c.ownCatalog != nil {
		return c.ownCatalog
	}
	return c.server.catalog.Load()
}

// RenewCatalog replaces a catalog that was found to differ from the server's. Inside a transaction the
// successor is the connection's own: it may show what no other connection can see yet.
func (c *Conn) RenewCatalog(differs *Catalog, inside bool) {
	switch {
	case inside:
		c.ownCatalog = newCatalog()
	case c.ownCatalog == differs:
		c.ownCatalog = nil
	default:
		c.server.catalog.CompareAndSwap(differs, newCatalog()) // else another connection has renewed it
	}
}

// ShareCatalog ends what RenewCatalog has begun inside a transaction.
func (c *Conn) ShareCatalog() { c.ownCatalog = nil }

// MoveTo follows a pooler that has gone over to another server.
func (c *Conn) MoveTo(instance string) {
	if c.server.instance != instance {
		c.server, c.ownCatalog = c.dialer.servers.get("", instance), nil
	}
}

// Instance is the running server and database that the connection's catalog describes; "" where
// InstanceSQL cannot run.
func (c *Conn) Instance() string { return c.server.instance }

// A running server and database are identified by when the server was started, since two copies of
// one cluster have one system identifier but were not started in the same microsecond; and by where a
// catalog of the database lies, which contains the database's OID and needs no table to be read.
const (
	startedSQL = "pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time())"
	placeSQL   = "pg_catalog.pg_relation_filepath('1259'::pg_catalog.regclass)"
	// InstanceSQL is both in hexadecimal and plain text.
	InstanceSQL = "select pg_catalog.concat(pg_catalog.encode(" + startedSQL + ", 'hex'::pg_catalog.text), ' ', " + placeSQL + ")"
)

// InstanceConditions hold on that running server and database alone. param gives a value its place in the text.
func InstanceConditions(instance string, param func(value string) string) []string {
	started, place, _ := strings.Cut(instance, " ")
	return []string{
		startedSQL + " OPERATOR(pg_catalog.=) " + param(`\x`+started) + "::pg_catalog.bytea",
		placeSQL + " OPERATOR(pg_catalog.=) " + param(place) + "::pg_catalog.text",
	}
}

const (
	pidSQL      = "select pg_catalog.pg_backend_pid()"
	identitySQL = pidSQL + ", (" + InstanceSQL + "), (select c.system_identifier from pg_catalog.pg_control_system() c)" + printsSQL
	instanceSQL = pidSQL + ", (" + InstanceSQL + "), null" + printsSQL
)

// identify finds out which process serves the connection, and on which server. Functions that the role may
// not call, or that a server compatible with PostgreSQL does not have, are left out; without any of them no
// other connection is known to lead to the same server. Behind a pooler the system identifier is left out as
// well: each statement that depends on it reads the instance, and reading the control file takes too long for that.
func (c *Conn) identify(ctx context.Context) (pid string, err error) {
	for _, sql := range []string{identitySQL, instanceSQL} {
		began := process.Now()
		row, err := oneRow(ctx, c.pg, sql)
		var refusal *pgconn.PgError
		if errors.As(err, &refusal) && !c.pg.IsClosed() {
			continue
		}
		if err != nil {
			return "", err
		}
		c.graceMS = grace(process.Now().Sub(began))
		if len(row) < 3 {
			break
		}
		c.knowPrints(row[3:])
		system := row[2]
		if row[0] != strconv.FormatUint(uint64(c.pg.PID()), 10) {
			system = ""
		}
		c.server = c.dialer.servers.get(system, row[1])
		return row[0], nil
	}
	c.server = c.dialer.servers.get("connection "+strconv.FormatUint(lastCatalog.Add(1), 10), "")
	began := process.Now()
	pid, err = backendPID(ctx, c.pg)
	c.graceMS = grace(process.Now().Sub(began))
	return pid, err
}

// oneRow runs a query of one row.
func oneRow(ctx context.Context, pg *pgconn.PgConn, sql string) ([]string, error) {
	results, err := pg.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) == 0 {
		return nil, errUnknownPID
	}
	row := make([]string, len(results[0].Rows[0]))
	for i, value := range results[0].Rows[0] {
		row[i] = string(value)
	}
	return row, nil
}
