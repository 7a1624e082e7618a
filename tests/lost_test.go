package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/wire"
)

// toServer and toClient choose the first message of a kind from now on.
func toServer(kind byte, do pgtest.Fault) *pgtest.Rule {
	return &pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind(kind), Do: do}
}

func toClient(kind byte, do pgtest.Fault) *pgtest.Rule {
	return &pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Kind(kind), Do: do}
}

func TestALostConnectionSaysWhetherTheStatementCanHaveRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule *pgtest.Rule
		sql  string // a statement that is known, or one that is not
		safe bool
	}{
		"while describing, request lost":    {toServer('P', pgtest.Cut), "SELECT 2", true},
		"while describing, answer lost":     {toClient('T', pgtest.Reset), "SELECT 2", true},
		"while executing, request lost":     {toServer('E', pgtest.Cut), "SELECT 'usable'", false},
		"while executing, answer lost":      {toClient('C', pgtest.Cut), "SELECT 'usable'", false},
		"in the middle of a row":            {&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Kind('D'), Offset: 4, Do: pgtest.Reset}, "SELECT 'usable'", false},
		"half closed by the server's side":  {toClient('Z', pgtest.HalfClose), "SELECT 'usable'", false},
		"cut right behind the answer's end": {&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Kind('C'), Offset: -1, Do: pgtest.Cut}, "SELECT 'usable'", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, d, proxy := beginProxied(t, oneConnection)
			s := d.Open("r", mainAlias)
			requireUsable(t, s)
			proxy.Add(c.rule)
			r := s.Try(c.sql)
			requireKind(t, r, wire.KindConnectionLost)
			require.Equal(t, c.safe, r.Fault.SafeToRetry)
			require.Equal(t, c.sql, r.Fault.SQL)
			require.Equal(t, "idle", s.State())
			requireUsable(t, s)
		})
	}
}

func TestAStatementOfWhichNotAByteWasSentIsSafeToRetryOutsideATransaction(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	requireUsable(t, s)
	s.Hook = at(beforeIO, 0, pgtest.HangUp)
	r := s.Try("SELECT 'usable'")
	requireKind(t, r, wire.KindConnectionLost)
	require.True(t, r.Fault.SafeToRetry)

	s.Hook = nil
	s.Begin()
	requireUsable(t, s)
	s.Hook = at(beforeIO, 0, pgtest.HangUp)
	r = s.Try("SELECT 'usable'")
	requireKind(t, r, wire.KindConnectionLost)
	require.False(t, r.Fault.SafeToRetry, "the transaction went with it")
}

func TestALostTransactionIsNeverSafeToRetryAndStaysOneUntilItIsRolledBack(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireUsable(t, s)
	proxy.Add(toServer('E', pgtest.Reset))
	r := s.Try("SELECT 'usable'")
	requireKind(t, r, wire.KindConnectionLost)
	require.False(t, r.Fault.SafeToRetry)
	require.Equal(t, "in_transaction", s.State())

	r = s.Try("SELECT 'usable'")
	requireKind(t, r, wire.KindConnectionLost)
	require.NotNil(t, r.Fault.Cause)
	require.Zero(t, d.Status(mainAlias).InUse, "no connection is taken for a transaction that is lost")
	s.Rollback()
	require.Equal(t, "rolled_back", s.State())
	requireUsable(t, s)
}

func TestCommitOfALostTransactionIsTransactionAborted(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireUsable(t, s)
	proxy.Add(toServer('E', pgtest.Cut))
	requireKind(t, s.Try("SELECT 'usable'"), wire.KindConnectionLost)
	r := s.Run(abi.OpCommit, "")
	requireKind(t, r, wire.KindTransactionAborted)
	require.Equal(t, wire.KindConnectionLost, r.Fault.Cause.Kind)
	requireUsable(t, s)
}

func TestACommitWhoseAnswerNeverCameIsNotSafeToRetry(t *testing.T) {
	t.Parallel()
	for _, op := range []abi.Op{abi.OpCommit, abi.OpFinalize} {
		db, d, proxy := beginProxied(t, oneConnection)
		db.Query("CREATE TABLE t (n int)")
		s := d.Open("r", mainAlias)
		s.Begin()
		s.Execute("INSERT INTO t VALUES (1)")
		proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Tagged("COMMIT"), Do: pgtest.Cut})
		r := s.Run(op, "")
		requireKind(t, r, wire.KindConnectionLost)
		require.False(t, r.Fault.SafeToRetry)
		require.Equal(t, "1", db.Value("SELECT count(*) FROM t"), "it was committed, and nobody knew")
		if op == abi.OpCommit {
			s.Rollback()
		}
		requireUsable(t, d.Open("next", mainAlias))
	}
}

func TestAFarewellThatIsLostCostsTheConnectionAndIsNoError(t *testing.T) {
	t.Parallel()
	for _, do := range []pgtest.Fault{pgtest.Cut, pgtest.Reset} {
		_, d, proxy := beginProxied(t, oneConnection)
		s := d.Open("r", mainAlias)
		s.Begin()
		requireUsable(t, s)
		s.Core.Set(abi.SetError, 1)
		rule := proxy.Add(toServer('Q', do))
		s.Finalize()
		<-rule.Fired()
		requireUsable(t, d.Open("next", mainAlias))
	}
}

func TestTheServersGoodbyeIsTheCauseOfALostConnection(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	outcome := running(t, db, s)
	terminateAll(db)
	r := outcome()
	requireKind(t, r, wire.KindConnectionLost)
	require.Equal(t, "57P01", r.Fault.SQLState)
	require.Contains(t, r.Fault.Cause.Message, "terminating connection")
	require.False(t, r.Fault.SafeToRetry)
	requireUsable(t, s)
}

func TestExecuteManyOnALostConnectionIsNotSafeToRetryAndLeavesNothing(t *testing.T) {
	t.Parallel()
	db, d, proxy := beginProxied(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	require.Nil(t, s.Many("INSERT INTO t VALUES ($1)", upTo(1)).Fault)
	proxy.Add(toServer('E', pgtest.Reset))
	r := s.Many("INSERT INTO t VALUES ($1)", upTo(1000))
	requireKind(t, r, wire.KindConnectionLost)
	require.False(t, r.Fault.SafeToRetry)
	require.Equal(t, "1", db.Value("SELECT count(*) FROM t"))
	requireUsable(t, s)
}

func TestASlowServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	hold := make(chan struct{})
	rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Kind('D'), Hold: hold})
	go func() {
		<-rule.Fired()
		close(hold)
	}()
	requireUsable(t, d.Open("r", mainAlias))
}

func TestGarbageFromTheServerIsALostConnection(t *testing.T) {
	t.Parallel()
	for name, garbage := range map[string][]byte{
		"an impossible length": {'D', 0, 0, 0, 1},
		"an endless message":   {'D', 0xff, 0xff, 0xff, 0xff},
		"a short end":          {'Z', 0, 0, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			_, d, proxy := beginProxied(t, oneConnection)
			s := d.Open("r", mainAlias)
			requireUsable(t, s)
			proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Kind('2'), Append: garbage})
			requireKind(t, s.Try("SELECT 'usable'"), wire.KindConnectionLost)
			requireUsable(t, s)
		})
	}
}
