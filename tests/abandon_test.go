package tests

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

// Abandoning ends an operation at any point; the session is usable afterwards, the connection dropped
// where it was in the middle of something, and nothing leaks.
func TestAnOperationCanBeAbandonedInEveryPhase(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	statement := func(s *pgtest.Session) pgtest.Result { return s.Try("INSERT INTO t VALUES ($1)", 1) }
	many := func(s *pgtest.Session) pgtest.Result { return s.Many("INSERT INTO t VALUES ($1)", upTo(10)) }
	for name, c := range map[string]struct {
		at        pgtest.Point
		n         int
		run       func(*pgtest.Session) pgtest.Result
		connected bool // the session had its connection before
		keeps     bool // and keeps it
	}{
		"waiting for a connection": {beforeWait, 0, statement, false, false},
		"before describing":        {beforeIO, 0, statement, true, false},
		"describing":               {afterSending, 0, statement, true, false},
		"encoding":                 {beforeEncode, 0, statement, true, true},
		"before executing":         {beforeIO, 1, statement, true, false},
		"executing":                {afterSending, 1, statement, true, false},
		"encoding the first row":   {beforeEncode, 0, many, true, true},
		"the rows are sent":        {afterRows, 0, many, true, false},
		"before the rows":          {pgtest.Point{Want: abi.WantRows}, 0, many, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			d.Close(mainAlias)
			d.Configure(mainAlias, db.ConnInfo(), oneConnection)
			s := d.Open("r", mainAlias)
			pid := "none"
			if c.connected {
				pid = s.Value("SELECT pg_backend_pid()")
			}
			s.Hook = at(c.at, c.n, pgtest.Abandon)
			r := c.run(s)
			require.NotNil(t, r.Fault)
			require.False(t, s.InTransaction())
			s.Hook = nil
			require.Equal(t, c.keeps, pid == s.Value("SELECT pg_backend_pid()"))
			s.Finalize()
			require.Equal(t, 1, d.Status(mainAlias).Available)
			db.AwaitBackends(1)
		})
	}
}

func TestATransactionWhoseStatementWasAbandonedIsLostAndCanBeRolledBack(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Query("SELECT 1")
	s.Hook = at(afterSending, 0, pgtest.Abandon)
	require.NotNil(t, s.Try("SELECT 1").Fault)
	s.Hook = nil
	require.True(t, s.InTransaction())
	require.NotNil(t, s.Try("SELECT 1").Fault)
	s.Rollback()
	requireUsable(t, s)
}

func TestAnAbandonedCommitOrFinalizeReleasesTheConnection(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	for _, op := range []abi.Op{abi.OpCommit, abi.OpRollback, abi.OpFinalize} {
		s := d.Open("r", mainAlias)
		s.Begin()
		s.Execute("INSERT INTO t VALUES (1)")
		s.Hook = at(beforeIO, 0, pgtest.Abandon)
		require.NotNil(t, s.Run(op, "").Fault)
		s.Hook = nil
		switch op {
		case abi.OpCommit: // whether it was committed nobody knows
			r := s.Run(abi.OpFinalize, "")
			requireKind(t, r, wire.KindTransactionAborted)
			require.Contains(t, r.Fault.Message, "not known")
		case abi.OpRollback:
			s.Finalize()
		}
		require.Equal(t, "closed", s.State())
		require.Zero(t, d.Status(mainAlias).InUse)
	}
	require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
}

func TestAbandoningTheCollectionOfAResetLeavesItToTheNextAcquire(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	hold := make(chan struct{})
	rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind('Q'), Hold: hold})
	s.Finalize()
	<-rule.Fired()
	require.Equal(t, 1, d.Status(mainAlias).Available, "a connection whose reset is under way counts as available")
	next := d.Open("next", mainAlias)
	next.Hook = at(beforeWait, 0, pgtest.Abandon)
	requireState(t, next.Try("SELECT 1"), queryCanceled)
	next.Hook = nil
	close(hold)
	require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"))
}

func TestAResetThatDoesNotEndInTimeCostsTheConnection(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, func(c *pool.Config) { c.MaxSize = 2 })
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind('Q'), Do: pgtest.BlackHole})
	s.Finalize()
	next := d.Open("next", mainAlias)
	next.Hook = at(beforeWait, 0, pgtest.TimeOut)
	require.NotEqual(t, pid, next.Value("SELECT pg_backend_pid()"))
}

func TestLooksForNothingDoNotPutOffTheEndOfTheWaitForAReset(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second
	_, d, proxy := beginProxied(t, func(c *pool.Config) { c.MaxSize, c.AcquireMS = 2, limit.Milliseconds() })
	s := d.Open("r", mainAlias)
	s.Value("SELECT pg_backend_pid()")
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind('Q'), Do: pgtest.BlackHole})
	s.Finalize()
	next := d.Open("next", mainAlias)
	next.Hook = func(p pgtest.Point) pgtest.Action {
		if p.Want != abi.WantWait || next.WaitMS < 50 {
			return pgtest.Serve
		}
		time.Sleep(20 * time.Millisecond)
		return pgtest.Resume
	}
	began := time.Now()
	requireUsable(t, next)
	require.Less(t, time.Since(began), limit*3/4, "the other half is for another connection")
}

func TestAbandoningNothingIsAnAnswerToo(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	requireState(t, s.Run(abi.OpAbandon, ""), queryCanceled)
	requireUsable(t, s)
	requireState(t, s.Run(abi.OpAbandon, ""), queryCanceled)
	requireUsable(t, s)
}
