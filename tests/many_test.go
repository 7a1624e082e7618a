package tests

import (
	"iter"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

func itoa(n int) string { return strconv.Itoa(n) }

// upTo is n rows of one column.
func upTo(n int) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i := range n {
			if !yield([]any{i}) {
				return
			}
		}
	}
}

const insert = "INSERT INTO t VALUES ($1)"

func manySession(t *testing.T, mode string) (*pgtest.DB, *pgtest.Session) {
	t.Helper()
	db, d := begin(t, func(c *pool.Config) { c.MaxSize, c.StatementCache = 1, mode })
	db.Query("CREATE TABLE t (n int PRIMARY KEY)")
	return db, d.Open("r", mainAlias)
}

func TestExecuteManyRunsEveryRowOrNone(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{connection.CacheNamed, connection.CacheDescribe, connection.CacheOff} {
		t.Run(mode, func(t *testing.T) {
			db, s := manySession(t, mode)
			requireState(t, s.Many(insert, pgtest.Rows([]any{1}, []any{1})), uniqueViolation)
			s.Begin() // COMMIT must be known to the server though the one behind the rows was never reached
			s.Execute("INSERT INTO t VALUES (-1)")
			s.Commit()

			r := s.Many(insert, upTo(1000))
			require.Nil(t, r.Fault)
			require.EqualValues(t, 1000, r.Count)
			require.Equal(t, "1001", db.Value("SELECT count(*) FROM t"))
			require.Equal(t, "committed", s.State(), "execute_many is a statement, and no verdict")

			r = s.Many(insert, pgtest.Rows([]any{5000}, []any{5001}, []any{7}, []any{5002}))
			requireState(t, r, uniqueViolation)
			require.EqualValues(t, 2, *r.Fault.Row)
			require.Equal(t, insert, r.Fault.SQL)
			require.Equal(t, "1001", db.Value("SELECT count(*) FROM t"))
		})
	}
}

func TestExecuteManyInATransactionIsUndoneAlone(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		db, s := manySession(t, connection.CacheAuto)
		s.Begin()
		if !first {
			s.Execute("INSERT INTO t VALUES (-1)")
		}
		requireState(t, s.Many(insert, pgtest.Rows([]any{1}, []any{1})), uniqueViolation)
		require.True(t, s.InTransaction())
		require.EqualValues(t, 3, s.Many(insert, upTo(3)).Count)
		s.Commit()
		want := map[bool]string{true: "3", false: "4"}[first]
		require.Equal(t, want, db.Value("SELECT count(*) FROM t"))
	}
}

func TestExecuteManyOfNoRowsDoesNothing(t *testing.T) {
	t.Parallel()
	_, s := manySession(t, connection.CacheAuto)
	r := s.Many(insert, upTo(0))
	require.Nil(t, r.Fault)
	require.Zero(t, r.Count)
	requireUsable(t, s)
}

func TestExecuteManyOfMoreThanTheSocketHoldsWritesWhileItReads(t *testing.T) {
	t.Parallel()
	_, s := manySession(t, connection.CacheAuto)
	pad := strings.Repeat("x", 20_000)
	r := s.Many("SELECT $1::text", func(yield func([]any) bool) {
		for range 500 {
			if !yield([]any{pad}) {
				return
			}
		}
	})
	require.Nil(t, r.Fault)
	require.EqualValues(t, 500, r.Count)
}

func TestExecuteManyWhoseRowsCannotBeEncodedIsUndone(t *testing.T) {
	t.Parallel()
	db, s := manySession(t, connection.CacheAuto)
	for _, inTransaction := range []bool{false, true} {
		if inTransaction {
			s.Begin()
		}
		r := s.Many(insert, pgtest.Rows([]any{1}, []any{2, 3}))
		requireKind(t, r, wire.KindProgramming)
		require.Equal(t, inTransaction, s.InTransaction())
		require.Equal(t, "0", s.Value("SELECT count(*) FROM t"))
	}
	s.Commit()
	require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
}

func TestExecuteManyNamesNoRowForADeferredConstraint(t *testing.T) {
	t.Parallel()
	db, s := manySession(t, connection.CacheAuto)
	db.Query("CREATE TABLE u (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	r := s.Many("INSERT INTO u VALUES ($1)", pgtest.Rows([]any{1}, []any{1}))
	requireState(t, r, uniqueViolation)
	require.Nil(t, r.Fault.Row)
	require.Equal(t, "0", db.Value("SELECT count(*) FROM u"))
	requireUsable(t, s)
}

func TestExecuteManyReportsAnErrorInTheStatementItself(t *testing.T) {
	t.Parallel()
	_, s := manySession(t, connection.CacheAuto)
	requireState(t, s.Many("INSERT INTO nowhere VALUES ($1)", upTo(3)), undefinedTable)
	requireKind(t, s.Many("", pgtest.Rows([]any{})), wire.KindProgramming)
	requireKind(t, s.Many("COPY t TO STDOUT", pgtest.Rows([]any{})), wire.KindNotSupported)
	require.NotNil(t, s.Many("COPY t FROM STDIN", pgtest.Rows([]any{}, []any{})).Fault)
	requireUsable(t, s)
}

func TestExecuteManyForgetsAStatementThatHasBecomeStale(t *testing.T) {
	t.Parallel()
	db, s := manySession(t, connection.CacheNamed)
	const sql = "INSERT INTO t VALUES ($1) RETURNING *"
	require.Nil(t, s.Many(sql, upTo(2)).Fault)
	db.Query("ALTER TABLE t ADD extra text DEFAULT 'x'")
	requireState(t, s.Many(sql, pgtest.Rows([]any{10})), "0A000")
	require.Nil(t, s.Many(sql, pgtest.Rows([]any{10})).Fault, "the second run finds it new")
}

func TestExecuteManyInAnAbortedTransactionChangesNothing(t *testing.T) {
	t.Parallel()
	_, s := manySession(t, connection.CacheNamed)
	require.Nil(t, s.Many(insert, upTo(2)).Fault)
	s.Begin()
	requireState(t, s.Try("SELECT 1/0"), divisionByZero)
	requireState(t, s.Many(insert, pgtest.Rows([]any{10})), aborted)
	require.True(t, s.InTransaction())
	r := s.Run(abi.OpCommit, "")
	requireKind(t, r, wire.KindTransactionAborted)
	require.Equal(t, divisionByZero, r.Fault.Cause.SQLState)
	require.Equal(t, "2", s.Value("SELECT count(*) FROM t"))
}
