package tests

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

func TestCloseEndsIdleConnectionsAndRefusesLaterCallers(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	s, used := d.Open("r", mainAlias), d.Open("used", mainAlias)
	requireUsable(t, used)
	used.Finalize()
	d.Close(mainAlias)
	db.AwaitBackends(0)
	requireKind(t, s.Try("SELECT 1"), wire.KindPoolClosed)
	_, fault := d.Registry.Open("new", mainAlias, "", false, "")
	require.NotNil(t, fault)
	s.Finalize()
	d.Close(mainAlias) // an unknown alias is fine
}

func TestCloseEndsARunningStatementWithPoolClosed(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	outcome := running(t, db, s)
	d.Close(mainAlias)
	requireKind(t, outcome(), wire.KindPoolClosed)
	requireKind(t, s.Try("SELECT 1"), wire.KindPoolClosed)
	s.Run(abi.OpFinalize, "")
	db.AwaitBackends(0)
	require.Zero(t, d.Registry.Count())
}

func TestCloseReleasesSessionsAtRestAndTheirTransactionsAreLost(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireUsable(t, s)
	d.Close(mainAlias)
	db.AwaitBackends(0)
	require.True(t, s.InTransaction())
	r := s.Run(abi.OpFinalize, "")
	requireKind(t, r, wire.KindPoolClosed)
	require.Zero(t, d.Registry.Count())
}

func TestCloseEndsTheWaitForAConnectionWithPoolClosed(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	holder, waiter := d.Open("holder", mainAlias), d.Open("waiter", mainAlias)
	requireUsable(t, holder)
	var r pgtest.Result
	var wait sync.WaitGroup
	wait.Go(func() { r = waiter.Try("SELECT 1") })
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Waiting == 1 })
	d.Close(mainAlias)
	wait.Wait()
	requireKind(t, r, wire.KindPoolClosed)
}

func TestCloseEndsADialUnderWay(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, nil)
	rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Nth(0, 0), Do: pgtest.BlackHole})
	s := d.Open("r", mainAlias)
	var r pgtest.Result
	var wait sync.WaitGroup
	wait.Go(func() { r = s.Try("SELECT 1") })
	<-rule.Fired()
	d.Close(mainAlias)
	wait.Wait()
	requireKind(t, r, wire.KindPoolClosed)
}

func TestAClosedAliasCanBeConfiguredAnew(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	requireUsable(t, d.Open("r", mainAlias))
	d.Close(mainAlias)
	d.Configure(mainAlias, db.ConnInfo(), nil)
	requireUsable(t, d.Open("next", mainAlias))
}

func TestWhatIsKnownOfAStatementInAClosedPoolIsNotTakenForItsSuccessors(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	for _, kind := range []string{"int", "text", "int"} {
		db.Query("DROP TABLE IF EXISTS t; CREATE TABLE t (v " + kind + "); INSERT INTO t VALUES ('1')")
		s := d.Open("r", mainAlias)
		r := s.Try("SELECT v FROM t")
		require.Nil(t, r.Fault)
		require.Contains(t, r.Wants, abi.WantEncode, "it was encoded and would be decoded for another pool's columns")
		s.Finalize()
		d.Close(mainAlias)
		d.Configure(mainAlias, db.ConnInfo(), nil)
	}
}

func TestConfiguringAKnownAliasKeepsItsPool(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	p := d.Registry.Pool(mainAlias)
	d.Configure(mainAlias, db.ConnInfo(), oneConnection)
	require.Same(t, p, d.Registry.Pool(mainAlias))
}

func TestSettingsThatCannotBeReadAreRefusedWithoutThePassword(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDriver(t)
	for _, info := range []map[string]string{
		{"host": "h", "port": "no-port", "password": "secret-value"},
		{"host": "h", "sslmode": "sometimes", "password": "secret`value"},
	} {
		fault := d.TryConfigure("bad", info, nil)
		require.NotNil(t, fault)
		require.Equal(t, wire.KindConfiguration, fault.Kind)
		require.NotContains(t, fault.Message, "secret")
		require.NotContains(t, fault.Message, "value")
	}
	fault := d.Registry.Configure([]byte("{"))
	require.Equal(t, wire.KindConfiguration, fault.Kind)
}

func TestCloseWhileManyWorkIsBoundedAndLeaksNothing(t *testing.T) {
	t.Parallel()
	db, d := begin(t, func(c *pool.Config) { c.MaxSize = 3 })
	var wait sync.WaitGroup
	started := make(chan struct{}, 100)
	for w := range 8 {
		wait.Go(func() {
			for i := 0; ; i++ {
				s, fault := d.TryOpen("worker "+itoa(w), mainAlias)
				if fault != nil {
					return
				}
				s.Run(abi.OpBegin, "BEGIN")
				s.Try("SELECT pg_sleep(0.002)")
				s.Run(abi.OpFinalize, "")
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-started
	}
	d.Close(mainAlias)
	wait.Wait()
	db.AwaitBackends(0)
	require.Zero(t, d.Registry.Count())
}
