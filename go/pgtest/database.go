package pgtest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

var background = context.Background()

// queryTimeout bounds a query of the test's own, so that a lock that nobody releases fails the test.
const queryTimeout = 20 * time.Second

var databases atomic.Int64

// DB is a database of one test, with a connection of the test's own to look at it from outside.
type DB struct {
	Name string

	t      testing.TB
	config *pgconn.Config
	mu     sync.Mutex // guards conn
	conn   *pgconn.PgConn
}

// Database creates an empty database, which is dropped when the test ends.
func Database(t testing.TB) *DB {
	t.Helper()
	config, err := pgconn.ParseConfig(Server(t))
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("hypern_test_%d_%d", os.Getpid(), databases.Add(1))
	server := &DB{Name: config.Database, t: t, config: config}
	server.Query("CREATE DATABASE " + name)
	server.close()
	own := config.Copy()
	own.Database = name
	db := &DB{Name: name, t: t, config: own}
	t.Cleanup(func() {
		db.close()
		server.Query("DROP DATABASE " + name + " WITH (FORCE)")
		server.close()
	})
	return db
}

// ConnInfo is where the database is, in libpq's keywords.
func (d *DB) ConnInfo() map[string]string {
	info := map[string]string{
		"host": d.config.Host, "port": strconv.Itoa(int(d.config.Port)), "user": d.config.User,
		"password": d.config.Password, "dbname": d.Name, "sslmode": "disable",
	}
	maps.DeleteFunc(info, func(_, v string) bool { return v == "" })
	return info
}

// Query runs SQL on the test's own connection and returns the last statement's rows as text; NULL is
// "". It fails the test on an error.
func (d *DB) Query(sql string) [][]string {
	d.t.Helper()
	rows, err := d.Try(sql)
	if err != nil {
		d.t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// Value is the first column of the first row, or "".
func (d *DB) Value(sql string) string {
	d.t.Helper()
	if rows := d.Query(sql); len(rows) > 0 && len(rows[0]) > 0 {
		return rows[0][0]
	}
	return ""
}

// Try is Query for SQL that may fail.
func (d *DB) Try(sql string) ([][]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, stop := context.WithTimeout(background, queryTimeout)
	defer stop()
	if d.conn == nil {
		conn, err := pgconn.ConnectConfig(ctx, d.config)
		if err != nil {
			return nil, err
		}
		d.conn = conn
	}
	results, err := d.conn.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	var rows [][]string
	for _, raw := range results[len(results)-1].Rows {
		row := make([]string, len(raw))
		for i, v := range raw {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Await polls until the query's first value is want: for what the server does in its own time, such
// as ending a backend. It fails the test after some seconds.
func (d *DB) Await(sql, want string) {
	d.t.Helper()
	for deadline := time.Now().Add(queryTimeout); ; time.Sleep(5 * time.Millisecond) {
		got := d.Value(sql)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: %q, and not %q in time", sql, got, want)
		}
	}
}

// Backends counts the server's connections to this database but for the test's own.
func (d *DB) Backends() string {
	d.t.Helper()
	return d.Value(backendsSQL)
}

// AwaitBackends waits until that many connections are left.
func (d *DB) AwaitBackends(n int) {
	d.t.Helper()
	d.Await(backendsSQL, strconv.Itoa(n))
}

const backendsSQL = "SELECT count(*) FROM pg_stat_activity " +
	"WHERE datname = current_database() AND pid <> pg_backend_pid()"

// AwaitActive waits until a backend of this database runs a statement that contains the text, which
// must be of letters and digits.
func (d *DB) AwaitActive(text string) {
	d.t.Helper()
	d.Await("SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() "+
		"AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%"+text+"%'", "t")
}

func (d *DB) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.Close(background) // the server may have gone first
		d.conn = nil
	}
}
