// Package tests drives the Go core from outside, through session.Registry, against a real PostgreSQL:
// pgtest's driver does what the C extension does.
package tests

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(pgtest.Exit))
}

// main is the alias most tests use.
const mainAlias = "main"

// begin makes a database and a driver with a pool for it.
func begin(t *testing.T, change func(*pool.Config)) (*pgtest.DB, *pgtest.Driver) {
	t.Helper()
	db := pgtest.Database(t)
	d := pgtest.NewDriver(t)
	d.Configure(mainAlias, db.ConnInfo(), change)
	return db, d
}

// beginProxied is begin with a proxy in between.
func beginProxied(t *testing.T, change func(*pool.Config)) (*pgtest.DB, *pgtest.Driver, *pgtest.Proxy) {
	t.Helper()
	db := pgtest.Database(t)
	p := pgtest.NewProxy(t)
	d := pgtest.NewDriver(t)
	d.Configure(mainAlias, p.ConnInfo(db), change)
	return db, d, p
}

func oneConnection(c *pool.Config) { c.MaxSize = 1 }

// requireState asserts that an operation failed with an SQLSTATE.
func requireState(t *testing.T, r pgtest.Result, state string) {
	t.Helper()
	require.NotNil(t, r.Fault, "the operation succeeded")
	require.Equal(t, state, r.Fault.SQLState, "%v", r.Fault)
}

// requireKind asserts that an operation failed with an error of the core's own.
func requireKind(t *testing.T, r pgtest.Result, kind string) {
	t.Helper()
	require.NotNil(t, r.Fault, "the operation succeeded")
	require.Equal(t, kind, r.Fault.Kind, "%v", r.Fault)
}

// requireUsable asserts that the session can go on.
func requireUsable(t *testing.T, s *pgtest.Session) {
	t.Helper()
	r := s.Try("SELECT 'usable'")
	require.Nil(t, r.Fault)
	require.Equal(t, [][]string{{"usable"}}, r.Rows)
}

// terminateAll ends every connection to the database but the test's own, and waits until they are gone.
func terminateAll(db *pgtest.DB) {
	db.Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
		"WHERE datname = current_database() AND pid <> pg_backend_pid()")
	db.AwaitBackends(0)
}

// SQLSTATEs of the server that tests look for.
const (
	undefinedTable      = "42P01"
	syntaxError         = "42601"
	divisionByZero      = "22012"
	invalidText         = "22P02"
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	aborted             = wire.StateAborted
	queryCanceled       = wire.StateQueryCanceled
)
