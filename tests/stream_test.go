package tests

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

const series = "SELECT n FROM generate_series(1, $1::int) n"

// drain fetches what is left of a stream and returns its rows.
func drain(t *testing.T, s *pgtest.Session, r pgtest.Result, chunk int64) [][]string {
	t.Helper()
	rows := r.Rows
	for require.Nil(t, r.Fault); r.Stream != 0; require.Nil(t, r.Fault) {
		r = s.Fetch(r.Stream, chunk)
		rows = append(rows, r.Rows...)
	}
	return rows
}

// eachCache runs a test with every way of keeping statements.
func eachCache(t *testing.T, test func(t *testing.T, db *pgtest.DB, s *pgtest.Session)) {
	t.Helper()
	for _, mode := range []string{connection.CacheNamed, connection.CacheDescribe, connection.CacheOff} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db, d := begin(t, func(c *pool.Config) { c.MaxSize, c.StatementCache = 1, mode })
			test(t, db, d.Open("r", mainAlias))
		})
	}
}

func TestAStreamGivesEveryRowInChunks(t *testing.T) {
	t.Parallel()
	eachCache(t, func(t *testing.T, _ *pgtest.DB, s *pgtest.Session) {
		for _, n := range []int{0, 1, 6, 7, 8, 21, 100} {
			r := s.Stream(7, series, n)
			require.Nil(t, r.Fault)
			require.LessOrEqual(t, len(r.Rows), 7)
			require.Equal(t, int64(len(r.Rows)), r.Count)
			rows := drain(t, s, r, 7)
			require.Len(t, rows, n)
			for i, row := range rows {
				require.Equal(t, itoa(i+1), row[0])
			}
			requireUsable(t, s)
		}
		require.Equal(t, "connected", s.State())
	})
}

func TestAStreamOutsideATransactionShowsNone(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Query("SELECT 1")
	s.Commit()
	r := s.Stream(2, series, 5)
	require.Nil(t, r.Fault)
	require.Equal(t, "committed", s.State())
	require.False(t, s.InTransaction())
	require.Equal(t, "idle in transaction", db.Value("SELECT state FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%series%' AND pid <> pg_backend_pid()"))
	drain(t, s, r, 2)
	require.Equal(t, "committed", s.State())
	require.Equal(t, "idle", db.Value("SELECT state FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT'"))
}

func TestAStreamThatEndsEarlyCommitsAndIsOver(t *testing.T) {
	t.Parallel()
	eachCache(t, func(t *testing.T, db *pgtest.DB, s *pgtest.Session) {
		db.Query("CREATE TABLE t (n int)")
		r := s.Stream(2, "INSERT INTO t SELECT generate_series(1, 5) RETURNING n")
		require.NotZero(t, r.Stream)
		require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
		require.Nil(t, s.EndStream(r.Stream).Fault)
		require.Equal(t, "5", db.Value("SELECT count(*) FROM t"))
		requireKind(t, s.Fetch(r.Stream, 2), wire.KindInterface)
		require.Nil(t, s.EndStream(r.Stream).Fault, "to end it twice is fine")
		requireUsable(t, s)
	})
}

func TestAnyOtherOperationEndsAStream(t *testing.T) {
	t.Parallel()
	operations := map[string]func(*pgtest.Session) pgtest.Result{
		"a statement":    func(s *pgtest.Session) pgtest.Result { return s.Try("SELECT 1") },
		"a new stream":   func(s *pgtest.Session) pgtest.Result { return s.Stream(100, series, 3) },
		"execute_many":   func(s *pgtest.Session) pgtest.Result { return s.Many(series, pgtest.Rows([]any{1}, []any{2})) },
		"begin":          func(s *pgtest.Session) pgtest.Result { return s.Run(abi.OpBegin, "BEGIN") },
		"commit":         func(s *pgtest.Session) pgtest.Result { return s.Run(abi.OpCommit, "") },
		"rollback":       func(s *pgtest.Session) pgtest.Result { return s.Run(abi.OpRollback, "") },
		"a savepoint":    func(s *pgtest.Session) pgtest.Result { return s.Run(abi.OpSavepoint, "p") },
		"a wrong SELECT": func(s *pgtest.Session) pgtest.Result { return s.Try("SELECT nonsense") },
	}
	for name, operation := range operations {
		for _, inside := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db, d := begin(t, oneConnection)
				db.Query("CREATE TABLE t (n int)")
				s := d.Open("r", mainAlias)
				if inside {
					s.Begin()
				}
				r := s.Stream(2, "INSERT INTO t SELECT generate_series(1, 5) RETURNING n")
				require.NotZero(t, r.Stream)
				other := operation(s)
				if name == "a new stream" {
					require.Len(t, other.Rows, 3)
				}
				requireKind(t, s.Fetch(r.Stream, 2), wire.KindInterface)
				if inside {
					if s.InTransaction() {
						s.Rollback()
					}
				} else {
					require.Equal(t, "5", db.Value("SELECT count(*) FROM t"))
				}
				if s.InTransaction() {
					s.Rollback()
				}
				requireUsable(t, s)
				require.Equal(t, "0", s.Value("SELECT count(*) FROM pg_cursors WHERE name LIKE 'hypern%'"))
				s.Finalize()
			})
		}
	}
}

func TestAStreamInATransactionIsPartOfIt(t *testing.T) {
	t.Parallel()
	eachCache(t, func(t *testing.T, db *pgtest.DB, s *pgtest.Session) {
		db.Query("CREATE TABLE t (n int)")
		s.Begin()
		s.Execute("INSERT INTO t SELECT generate_series(1, 5)")
		r := s.Stream(2, "SELECT n FROM t ORDER BY n")
		require.Nil(t, s.EndStream(r.Stream).Fault)
		require.True(t, s.InTransaction())
		require.Len(t, drain(t, s, s.Stream(2, "SELECT n FROM t"), 2), 5)
		require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
		require.Equal(t, "5", s.Value("SELECT count(*) FROM t"))
		s.Commit()
		require.Equal(t, "committed", s.State())
		require.Equal(t, "5", db.Value("SELECT count(*) FROM t"))
	})
}

func TestAStreamSendsTheBeginThatIsOwed(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Must(abi.OpBegin, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	require.Len(t, drain(t, s, s.Stream(2, series, 5), 2), 5)
	require.Equal(t, "repeatable read", s.Value("SHOW transaction_isolation"))
	s.Rollback()
}

func TestAnErrorInAStreamRollsItsOwnTransactionBack(t *testing.T) {
	t.Parallel()
	eachCache(t, func(t *testing.T, db *pgtest.DB, s *pgtest.Session) {
		const sql = "SELECT 1 / (4 - n) FROM generate_series(1, 9) n"
		r := s.Stream(2, sql)
		require.Nil(t, r.Fault)
		r = s.Fetch(r.Stream, 2)
		requireState(t, r, divisionByZero)
		require.Equal(t, sql, r.Fault.SQL)
		require.Equal(t, "connected", s.State())
		requireKind(t, s.Fetch(1, 2), wire.KindInterface)
		require.Equal(t, "idle", db.Value("SELECT state FROM pg_stat_activity WHERE query = 'ROLLBACK'"))
		requireState(t, s.Stream(5, sql), divisionByZero)
		requireState(t, s.Stream(5, "SELECT nonsense"), "42703")
		requireKind(t, s.Stream(5, " "), wire.KindProgramming)
		requireUsable(t, s)
	})
}

func TestAnErrorInAStreamAbortsTheCallersTransaction(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	r := s.Stream(2, "SELECT 1 / (4 - n) FROM generate_series(1, 9) n")
	requireState(t, s.Fetch(r.Stream, 2), divisionByZero)
	require.True(t, s.InTransaction())
	r = s.Run(abi.OpCommit, "")
	requireState(t, r, aborted)
	require.Equal(t, divisionByZero, r.Fault.Cause.SQLState)
}

func TestACommitThatFailsBehindAStreamIsReported(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE a (k int PRIMARY KEY); CREATE TABLE t (k int REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
	s := d.Open("r", mainAlias)
	const sql = "INSERT INTO t SELECT generate_series(1, 5) RETURNING k"
	r := s.Stream(10, sql)
	requireState(t, r, foreignKeyViolation)
	require.Equal(t, sql, r.Fault.SQL)
	requireState(t, s.EndStream(s.Stream(2, sql).Stream), foreignKeyViolation)

	s.Stream(2, sql)
	r = s.Try("SELECT 1")
	requireState(t, r, foreignKeyViolation)
	require.Equal(t, sql, r.Fault.SQL, "the stream failed, and not the statement that ended it")
	requireUsable(t, s)

	s.Stream(2, sql)
	requireState(t, s.Run(abi.OpFinalize, ""), foreignKeyViolation)
	require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
	requireUsable(t, d.Open("next", mainAlias))
}

func TestFinalizeCommitsWhatAStreamHasDone(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	for i, inside := range []bool{false, true} {
		s := d.Open("r", mainAlias)
		if inside {
			s.Begin()
		}
		r := s.Stream(2, "INSERT INTO t SELECT generate_series(1, 5) RETURNING n")
		s.Finalize()
		require.Equal(t, itoa(5*i+5), db.Value("SELECT count(*) FROM t"))
		requireKind(t, s.Fetch(r.Stream, 2), wire.KindSessionClosed)
		require.Nil(t, s.EndStream(r.Stream).Fault)
	}
	require.Equal(t, 1, d.Status(mainAlias).Available)
}

func TestAStreamKeepsToTheDescriptionItBeganWith(t *testing.T) {
	t.Parallel()
	eachCache(t, func(t *testing.T, db *pgtest.DB, s *pgtest.Session) {
		db.Query("CREATE TABLE t (k int, v int); INSERT INTO t SELECT 1, generate_series(1, 5)")
		require.Len(t, drain(t, s, s.Stream(2, lookup, 1), 2), 5)
		db.Query("ALTER TABLE t ALTER v TYPE text USING 'changed'")
		r := s.Stream(2, lookup, 1)
		if r.Fault != nil { // a remembered description cannot be trusted any more
			requireState(t, r, "0A000")
			require.Empty(t, r.Rows)
			r = s.Stream(2, lookup, 1)
		}
		require.Equal(t, [][]string{{"changed"}, {"changed"}}, r.Rows)
		require.Len(t, drain(t, s, r, 2), 5)
		require.Equal(t, "connected", s.State())
	})
}

func TestAConnectionLostInAStream(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	r := s.Stream(2, series, 9)
	terminateAll(db)
	lost := s.Fetch(r.Stream, 2)
	requireKind(t, lost, wire.KindConnectionLost)
	require.False(t, lost.Fault.SafeToRetry)
	requireKind(t, s.Fetch(r.Stream, 2), wire.KindInterface)
	require.False(t, s.InTransaction())
	requireUsable(t, s)
}

func TestACancelledChunkLeavesTheConnectionUsable(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	r := s.Stream(1, "SELECT pg_sleep(CASE WHEN n > 1 THEN 20 ELSE 0 END) FROM generate_series(1, 3) n")
	require.Nil(t, r.Fault)
	time.AfterFunc(50*time.Millisecond, func() { s.Core.Cancel(abi.CancelRequest) })
	requireState(t, s.Fetch(r.Stream, 1), queryCanceled)
	requireUsable(t, s)
}

func TestAChunkGivenUpDropsTheConnection(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	r := s.Stream(2, series, 9)
	s.Hook = func(p pgtest.Point) pgtest.Action {
		if p.Sent {
			return pgtest.Abandon
		}
		return pgtest.Serve
	}
	require.NotNil(t, s.Fetch(r.Stream, 2).Fault)
	s.Hook = nil
	requireUsable(t, s)
}

func TestATransactionOfASuspendedStreamDoesNotReachTheNextSession(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	for range 3 {
		s := d.Open("r", mainAlias)
		require.NotZero(t, s.Stream(2, series, 9).Stream)
		s.Finalize()
		next := d.Open("next", mainAlias)
		require.NotEqual(t, next.Value("SELECT now()"), next.Value("SELECT now()"), "a transaction is open")
		next.Finalize()
	}
}
