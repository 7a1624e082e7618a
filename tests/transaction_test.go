package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/wire"
)

func TestBeginSendsNothingUntilTheFirstStatement(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, nil)
	s := d.Open("r", mainAlias)
	requireUsable(t, s)
	proxy.Forget()

	s.Begin()
	require.Equal(t, "in_transaction", s.State())
	require.True(t, s.InTransaction())
	require.Empty(t, proxy.Kinds(0), "begin() talked to the server")

	s.Query("SELECT 'usable'")
	require.Equal(t, "PBEBES", proxy.Kinds(0), "BEGIN and the statement share one round trip")
	s.Rollback()
}

func TestNowInATransactionIsTheFirstStatementsNotBegins(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	between := db.Value("SELECT clock_timestamp()::text")
	require.Equal(t, "t", s.Value("SELECT (now() > '"+between+"')::text::char"))
	require.Equal(t, "t", s.Value("SELECT (now() = transaction_timestamp() AND now() < clock_timestamp())::text::char"))
	s.Rollback()
}

func TestBeginHoldsAConnectionButNoServerTransaction(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	require.Equal(t, 1, d.Status(mainAlias).InUse)
	db.AwaitBackends(1)
	require.Equal(t, "0", db.Value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "+
		"AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"))
	s.Rollback()
	require.Equal(t, "rolled_back", s.State())
}

func TestACommittedTransactionIsVisibleToOthersAndARolledBackOneIsNot(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)

	s.Begin()
	require.EqualValues(t, 1, s.Execute("INSERT INTO t VALUES ($1)", 1))
	require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
	s.Commit()
	require.Equal(t, "1", db.Value("SELECT count(*) FROM t"))

	s.Begin()
	s.Execute("INSERT INTO t VALUES ($1)", 2)
	s.Rollback()
	require.Equal(t, "1", db.Value("SELECT count(*) FROM t"))
}

func TestBeginTwiceIsAnErrorAndTheTransactionGoesOn(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireKind(t, s.Run(abi.OpBegin, "BEGIN"), wire.KindInterface)
	s.Query("SELECT 1")
	requireKind(t, s.Run(abi.OpBegin, "BEGIN"), wire.KindInterface)
	s.Commit()
}

func TestCommitAndRollbackWithoutATransactionAreErrors(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	for _, op := range []abi.Op{abi.OpCommit, abi.OpRollback, abi.OpSavepoint, abi.OpRelease, abi.OpRollbackTo} {
		requireState(t, s.Run(op, "x"), wire.StateNoActiveTransaction)
	}
	s.Query("SELECT 1")
	requireState(t, s.Run(abi.OpCommit, ""), wire.StateNoActiveTransaction)
	require.Equal(t, "connected", s.State())
}

func TestCommitOfAnAbortedTransactionIsTransactionAbortedWithTheFirstErrorAsCause(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireState(t, s.Try("SELECT 1/0"), divisionByZero)
	require.Equal(t, "in_transaction", s.State(), "an aborted transaction is still one")
	requireState(t, s.Try("SELECT 1"), aborted)

	r := s.Run(abi.OpCommit, "")
	requireKind(t, r, wire.KindTransactionAborted)
	require.Equal(t, aborted, r.Fault.SQLState)
	require.NotNil(t, r.Fault.Cause)
	require.Equal(t, divisionByZero, r.Fault.Cause.SQLState)
	require.Equal(t, "rolled_back", s.State())
	s.Rollback() // what an exception handler does next
	requireUsable(t, s)
}

func TestTheCauseOfAnAbortedTransactionIsNotAnEarlierTransactions(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	for _, raw := range []struct{ sql, state string }{
		{"SELECT 1/0", divisionByZero}, {"SELECT * FROM nowhere", undefinedTable},
	} {
		s.Execute("BEGIN")
		requireState(t, s.Try(raw.sql), raw.state)
		r := s.Try("COMMIT")
		requireKind(t, r, wire.KindTransactionAborted)
		require.Equal(t, raw.state, r.Fault.Cause.SQLState)
	}
}

func TestARawBeginIsATransactionLikeAnyOther(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	for range 2 { // the second time with statements that are cached
		s.Execute("BEGIN")
		require.True(t, s.InTransaction())
		s.Execute("INSERT INTO t VALUES (1)")
		s.Commit()
		require.Equal(t, "committed", s.State())
		s.Begin()
		s.Execute("INSERT INTO t VALUES (1)")
		s.Execute("COMMIT")
		require.Equal(t, "committed", s.State())
		s.Begin()
		s.Execute("INSERT INTO t VALUES (1)")
		s.Execute("ROLLBACK")
		require.Equal(t, "rolled_back", s.State())
	}
	require.Equal(t, "4", db.Value("SELECT count(*) FROM t"))
}

func TestARawCommitAsTheFirstStatementAfterBeginEndsTheTransaction(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	for range 2 {
		s.Begin()
		s.Execute("COMMIT")
		require.Equal(t, "committed", s.State())
		require.False(t, s.InTransaction())
	}
}

func TestAnEmptyTransactionCommitsAndRollsBackWithoutAWord(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, nil)
	s := d.Open("r", mainAlias)
	requireUsable(t, s)
	proxy.Forget()
	s.Begin()
	s.Commit()
	require.Equal(t, "committed", s.State())
	s.Begin()
	s.Rollback()
	require.Equal(t, "rolled_back", s.State())
	require.Empty(t, proxy.Kinds(0))
}

func TestBeginsOwnTextReachesTheServer(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Must(abi.OpBegin, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE")
	require.Equal(t, [][]string{{"serializable", "on", "on"}}, s.Query("SELECT current_setting('transaction_isolation'), "+
		"current_setting('transaction_read_only'), current_setting('transaction_deferrable')"))
	s.Commit()
}

func TestADeferredConstraintFailsTheCommitAndTheTransactionIsOver(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	db.Query("CREATE TABLE p (id int PRIMARY KEY); " +
		"CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Execute("INSERT INTO c VALUES (1)")
	r := s.Run(abi.OpCommit, "")
	requireState(t, r, foreignKeyViolation)
	require.Equal(t, "COMMIT", r.Fault.SQL)
	require.Equal(t, "rolled_back", s.State())
	s.Rollback()
	require.Equal(t, "0", db.Value("SELECT count(*) FROM c"))
	requireUsable(t, s)
}

func TestNestedSavepointsRollBackWhatTheyHoldAndNoMore(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Execute("INSERT INTO t VALUES (1)")
	s.Must(abi.OpSavepoint, "a")
	s.Execute("INSERT INTO t VALUES (2)")
	s.Must(abi.OpSavepoint, "b")
	s.Execute("INSERT INTO t VALUES (3)")
	s.Must(abi.OpRollbackTo, "b")
	s.Must(abi.OpSavepoint, "b")
	s.Execute("INSERT INTO t VALUES (4)")
	s.Must(abi.OpRelease, "b")
	s.Must(abi.OpRelease, "a")
	s.Commit()
	require.Equal(t, [][]string{{"1"}, {"2"}, {"4"}}, db.Query("SELECT n FROM t ORDER BY n"))
}

func TestASavepointSurvivesAnErrorInsideIt(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Must(abi.OpSavepoint, "a") // BEGIN and SAVEPOINT are both owed
	requireState(t, s.Try("SELECT 1/0"), divisionByZero)
	requireState(t, s.Run(abi.OpSavepoint, "b"), aborted)
	s.Must(abi.OpRollbackTo, "a")
	s.Execute("INSERT INTO t VALUES (1)")
	s.Commit()
	require.Equal(t, "1", db.Value("SELECT count(*) FROM t"))
}

func TestSavepointsThatNothingHappenedInAreNeverSent(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Query("SELECT 'usable'")
	proxy.Forget()
	s.Must(abi.OpSavepoint, "a")
	s.Must(abi.OpSavepoint, "b")
	s.Must(abi.OpRelease, "b")
	s.Must(abi.OpRollbackTo, "a")
	s.Must(abi.OpSavepoint, "a")
	s.Must(abi.OpRelease, "a")
	require.Empty(t, proxy.Kinds(0))
	s.Query("SELECT 'usable'")
	require.Equal(t, "BES", proxy.Kinds(0), "no savepoint travels with the statement")
	s.Commit()
}

func TestAReleaseIsOwedAndTravelsWithTheNextStatement(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Must(abi.OpSavepoint, "a")
	s.Query("SELECT 'usable'")
	proxy.Forget()
	s.Must(abi.OpRelease, "a")
	require.Empty(t, proxy.Kinds(0))
	s.Query("SELECT 'usable'")
	require.Equal(t, "PBEBES", proxy.Kinds(0))
	requireState(t, s.Run(abi.OpRollbackTo, "a"), "3B001")
	s.Rollback()
}

func TestAnErrorInTheFirstStatementLeavesTheTransactionAborted(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireState(t, s.Try("SELECT FROM WHERE"), syntaxError)
	require.True(t, s.InTransaction())
	requireState(t, s.Try("SELECT 1"), aborted)
	s.Rollback()
	requireUsable(t, s)
}

func TestTransactionsWorkInEveryStatementCacheMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{connection.CacheAuto, connection.CacheNamed, connection.CacheDescribe, connection.CacheOff} {
		t.Run(mode, func(t *testing.T) {
			db, d := begin(t, func(c *pool.Config) { c.StatementCache = mode })
			db.Query("CREATE TABLE t (n int)")
			s := d.Open("r", mainAlias)
			for i := range 3 {
				s.Begin()
				s.Must(abi.OpSavepoint, "a")
				s.Execute("INSERT INTO t VALUES ($1)", i)
				s.Must(abi.OpRelease, "a")
				s.Commit()
				require.Equal(t, [][]string{{"x", "7"}}, s.Query("SELECT $1::text, $2::int", "x", 7))
			}
			require.Equal(t, "3", s.Value("SELECT count(*) FROM t"))
			s.Finalize()
		})
	}
}
