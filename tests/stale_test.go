package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pgtest"
	"hypern/go/pool"
)

// changes are schema changes that make a cached "SELECT v FROM t WHERE k = $1" fail or lie.
var changes = map[string]string{
	"a column's type is altered":       "ALTER TABLE t ALTER v TYPE text USING 'changed'",
	"the table is dropped and made":    "DROP TABLE t; CREATE TABLE t (k int, v text); INSERT INTO t VALUES (1, 'changed')",
	"the key's type is altered":        "ALTER TABLE t ALTER k TYPE text; ALTER TABLE t ALTER v TYPE text USING 'changed'",
	"the table becomes a view":         "DROP TABLE t; CREATE VIEW t AS SELECT 1 AS k, 'changed'::text AS v",
	"a column comes before the others": "ALTER TABLE t DROP v; ALTER TABLE t ADD w int, ADD v text DEFAULT 'changed'",
}

const lookup = "SELECT v FROM t WHERE k = $1"

func staleSession(t *testing.T, mode string) (*pgtest.DB, *pgtest.Session) {
	t.Helper()
	db, d := begin(t, func(c *pool.Config) { c.MaxSize, c.StatementCache = 1, mode })
	s := d.Open("r", mainAlias)
	renew(t, db, s)
	return db, s
}

// renew makes the table anew, and sees to it that the lookup is cached for it.
func renew(t *testing.T, db *pgtest.DB, s *pgtest.Session) {
	t.Helper()
	if db.Value("SELECT relkind FROM pg_class WHERE relname = 't'") == "v" {
		db.Query("DROP VIEW t")
	}
	db.Query("DROP TABLE IF EXISTS t; CREATE TABLE t (k int, v int); INSERT INTO t VALUES (1, 7)")
	for range 2 {
		require.Equal(t, "7", s.Value(lookup, 1))
	}
}

func TestACachedStatementSurvivesASchemaChangeOutsideATransaction(t *testing.T) {
	t.Parallel()
	db, s := staleSession(t, connection.CacheNamed)
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			renew(t, db, s)
			db.Query(change)
			require.Equal(t, "changed", s.Value(lookup, 1))
			require.Equal(t, "changed", s.Value(lookup, 1))
		})
	}
}

func TestACachedStatementSurvivesASchemaChangeAsTheFirstOfATransaction(t *testing.T) {
	t.Parallel()
	db, s := staleSession(t, connection.CacheNamed)
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			renew(t, db, s)
			db.Query(change)
			s.Must(abi.OpBegin, "BEGIN ISOLATION LEVEL REPEATABLE READ")
			require.Equal(t, "changed", s.Value(lookup, 1))
			require.Equal(t, "repeatable read", s.Value("SHOW transaction_isolation"), "it is the transaction asked for")
			s.Commit()
			require.Equal(t, "committed", s.State())
		})
	}
}

func TestAStaleStatementInsideATransactionFailsOnceAndIsForgotten(t *testing.T) {
	t.Parallel()
	db, s := staleSession(t, connection.CacheNamed)
	db.Query(changes["a column's type is altered"])
	for i := range 2 {
		s.Begin()
		s.Query("SELECT 1")
		r := s.Try(lookup, 1)
		if i == 0 {
			requireState(t, r, "0A000")
			require.True(t, s.InTransaction())
			s.Rollback()
			continue
		}
		require.Nil(t, r.Fault, "the next transaction finds the statement new")
		require.Equal(t, [][]string{{"changed"}}, r.Rows)
		s.Commit()
	}
}

func TestAStatementWhoseTableIsGoneFailsWithItsOwnErrorAfterOneRetry(t *testing.T) {
	t.Parallel()
	db, s := staleSession(t, connection.CacheNamed)
	db.Query("DROP TABLE t")
	for range 2 {
		r := s.Try(lookup, 1)
		requireState(t, r, undefinedTable)
		require.Equal(t, lookup, r.Fault.SQL)
	}
	s.Begin()
	requireState(t, s.Try(lookup, 1), undefinedTable)
	require.True(t, s.InTransaction())
	s.Rollback()
}

func TestAStatementThatHasBegunIsNeverRetried(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE SEQUENCE s; CREATE FUNCTION f(fail bool) RETURNS int LANGUAGE plpgsql AS $$ BEGIN " +
		"PERFORM nextval('s'); IF fail THEN RAISE EXCEPTION 'no' USING ERRCODE = '0A000'; END IF; RETURN 1; END $$")
	s := d.Open("r", mainAlias)
	for i := range 3 {
		s.Query("SELECT f($1)", false) // known, and no sign of being stale
		requireState(t, s.Try("SELECT f($1)", true), "0A000")
		require.Equal(t, itoa(2*i+2), db.Value("SELECT last_value FROM s"))
	}
}

func TestASearchPathChangeMakesAStatementMeanAnotherTable(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (v int); CREATE TABLE b.t (v text);" +
		"INSERT INTO a.t VALUES (1); INSERT INTO b.t VALUES ('x')")
	s := d.Open("r", mainAlias)
	for range 2 {
		s.Execute("SET search_path TO a")
		require.Equal(t, "1", s.Value("SELECT v FROM t"))
		s.Execute("SET search_path TO b")
		require.Equal(t, "x", s.Value("SELECT v FROM t"))
	}
}

func TestARememberedDescriptionNeverMislabelsAResult(t *testing.T) {
	t.Parallel()
	db, s := staleSession(t, connection.CacheDescribe)
	db.Query(changes["a column's type is altered"])
	r := s.Try(lookup, 1)
	requireState(t, r, "0A000")
	require.Empty(t, r.Rows, "rows of another shape were handed over")
	require.Equal(t, "changed", s.Value(lookup, 1))
}

func TestADescriptionRememberedSurvivesATablesRecreationWithTheSameColumns(t *testing.T) {
	t.Parallel()
	db, s := staleSession(t, connection.CacheDescribe)
	db.Query("DROP TABLE t; CREATE TABLE t (k int, v int); INSERT INTO t VALUES (1, 8)")
	require.Equal(t, "8", s.Value(lookup, 1))
}

func TestReparseDescribesAKnownStatementAnew(t *testing.T) {
	t.Parallel()
	_, s := staleSession(t, connection.CacheNamed)
	r := s.Reparse(lookup, 1)
	require.Nil(t, r.Fault)
	require.Equal(t, []abi.Want{abi.WantIO, abi.WantEncode, abi.WantIO, abi.WantDone}, r.Wants)
	require.Equal(t, [][]string{{"7"}}, r.Rows)
}

func TestAKnownStatementTakesOneRoundTripAndNoEncodingAgain(t *testing.T) {
	t.Parallel()
	_, s := staleSession(t, connection.CacheNamed)
	r := s.Try(lookup, 1)
	require.Equal(t, []abi.Want{abi.WantIO, abi.WantDone}, r.Wants)
	s.NoGuess = true
	r = s.Try(lookup, 1)
	require.Equal(t, []abi.Want{abi.WantEncode, abi.WantIO, abi.WantDone}, r.Wants)
}

func TestMoreStatementsThanTheCacheHoldsAreClosedOnTheServer(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	for i := range 300 {
		s.Query("SELECT " + itoa(i))
	}
	require.Equal(t, "true", s.Value("SELECT (count(*) BETWEEN 200 AND 257)::text FROM pg_prepared_statements"))
	require.Equal(t, "0", s.Value("SELECT 0"))
}
