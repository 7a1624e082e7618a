package tests

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

const longSleep = "SELECT pg_sleep(60)"

// running starts an operation in the background and returns once the server runs it.
func running(t *testing.T, db *pgtest.DB, s *pgtest.Session) (outcome func() pgtest.Result) {
	t.Helper()
	var r pgtest.Result
	var wait sync.WaitGroup
	wait.Go(func() { r = s.Try(longSleep) })
	db.Await("SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'", "t")
	return func() pgtest.Result { wait.Wait(); return r }
}

func TestACancelledStatementIsConfirmedByTheServerAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	for range 3 {
		outcome := running(t, db, s)
		require.True(t, s.Core.Cancel(abi.CancelRequest))
		requireState(t, outcome(), queryCanceled)
		require.Equal(t, pid, s.Value("SELECT pg_backend_pid()"))
	}
}

func TestACancelInATransactionAbortsIt(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	outcome := running(t, db, s)
	require.True(t, s.Core.Cancel(abi.CancelRequest))
	requireState(t, outcome(), queryCanceled)
	require.True(t, s.InTransaction())
	requireState(t, s.Try("SELECT 1"), aborted)
	s.Rollback()
	requireUsable(t, s)
}

func TestALateCancelNeverHitsTheNextStatement(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	for range 60 {
		// The statement is over on the server before the request to cancel is even sent.
		s.Hook = func(p pgtest.Point) pgtest.Action {
			if p == afterSending {
				require.True(t, s.Core.Cancel(abi.CancelRequest))
			}
			return pgtest.Serve
		}
		if r := s.Try("SELECT 1"); r.Fault != nil {
			requireState(t, r, queryCanceled)
		}
		s.Hook = nil
		require.Nil(t, s.Try("SELECT pg_sleep(0.001)").Fault, "the cancel hit the next statement")
	}
}

func TestACancelUnderWayIsOverBeforeTheNextRequestGetsTheConnection(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	requireUsable(t, s)
	hold := make(chan struct{})
	rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind(pgtest.KindCancel), Hold: hold})
	var waited sync.Once
	s.Hook = func(p pgtest.Point) pgtest.Action {
		switch p {
		case afterSending:
			s.Core.Cancel(abi.CancelRequest)
			<-rule.Fired()
		case beforeWait: // the answer is in, the cancel is not: the operation must wait for it
			waited.Do(func() { close(hold) })
		}
		return pgtest.Serve
	}
	r := s.Try("SELECT 'usable'")
	require.Nil(t, r.Fault)
	require.Contains(t, r.Wants, abi.WantWait)
	s.Hook = nil
	requireUsable(t, s)
}

func TestACancelBeforeTheStatementIsSentKeepsItFromBeingSent(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	s.Hook = func(p pgtest.Point) pgtest.Action {
		if p == beforeEncode {
			s.Core.Cancel(abi.CancelRequest)
		}
		return pgtest.Serve
	}
	requireState(t, s.Try("INSERT INTO t VALUES (1)"), queryCanceled)
	s.Hook = nil
	require.Equal(t, "0", s.Value("SELECT count(*) FROM t"))
}

func TestACancelEndsTheWaitForAConnection(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	holder, waiter := d.Open("holder", mainAlias), d.Open("waiter", mainAlias)
	requireUsable(t, holder)
	var r pgtest.Result
	var wait sync.WaitGroup
	wait.Go(func() { r = waiter.Try("SELECT 1") })
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Waiting == 1 })
	require.True(t, waiter.Core.Cancel(abi.CancelRequest))
	wait.Wait()
	requireState(t, r, queryCanceled)
	holder.Finalize()
	requireUsable(t, waiter)
}

func TestThereIsNothingToCancelInASessionAtRest(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	require.False(t, s.Core.Cancel(abi.CancelRequest))
	requireUsable(t, s)
	require.False(t, s.Core.Cancel(abi.CancelRequest))
	require.False(t, s.Core.Cancel(abi.CancelKill))
	requireUsable(t, s)
	s.Finalize()
	require.False(t, s.Core.Cancel(abi.CancelRequest))
}

func TestAnAnswerThatCameBeforeTheKillStandsAndTheNextStatementHasAnotherConnection(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	s.Hook = func(p pgtest.Point) pgtest.Action {
		if p.Sent {
			for !readable(s.FD) {
				time.Sleep(time.Millisecond)
			}
			require.True(t, s.Core.Cancel(abi.CancelKill))
		}
		return pgtest.Serve
	}
	require.Equal(t, pid, s.Value("SELECT pg_backend_pid()"))
	s.Hook = nil
	require.NotEqual(t, pid, s.Value("SELECT pg_backend_pid()"))
}

func TestAKilledConnectionEndsTheStatementAndIsReplaced(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	outcome := running(t, db, s)
	require.True(t, s.Core.Cancel(abi.CancelKill))
	r := outcome()
	requireKind(t, r, wire.KindConnectionLost)
	require.False(t, r.Fault.SafeToRetry)
	requireUsable(t, s)
}

func TestExecuteManyCanBeCancelled(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	var r pgtest.Result
	var wait sync.WaitGroup
	wait.Go(func() { r = s.Many("INSERT INTO t SELECT 1 FROM pg_sleep($1)", pgtest.Rows([]any{0}, []any{60})) })
	db.AwaitActive("pg_sleep")
	require.True(t, s.Core.Cancel(abi.CancelRequest))
	wait.Wait()
	requireState(t, r, queryCanceled)
	require.Equal(t, "0", s.Value("SELECT count(*) FROM t"))
}
