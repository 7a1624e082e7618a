package tests

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

func beginTLS(t *testing.T, change func(*pool.Config)) (*pgtest.DB, *pgtest.Driver, *pgtest.Proxy) {
	t.Helper()
	db := pgtest.Database(t)
	p := pgtest.NewTLSProxy(t)
	d := pgtest.NewDriver(t)
	d.Configure(mainAlias, p.ConnInfo(db), change)
	return db, d, p
}

func TestUnderTLSSessionsWorkAsWithoutIt(t *testing.T) {
	t.Parallel()
	db, d, _ := beginTLS(t, oneConnection)
	db.Query("CREATE TABLE t (n int PRIMARY KEY)")
	var pid string
	for i := range 3 {
		s := d.Open("r", mainAlias)
		s.Begin()
		s.Execute("INSERT INTO t VALUES ($1)", i)
		requireState(t, s.Many(insert, pgtest.Rows([]any{i + 10}, []any{i})), uniqueViolation)
		require.Nil(t, s.Many(insert, pgtest.Rows([]any{i + 10}, []any{i + 20})).Fault)
		if i == 0 {
			pid = s.Value("SELECT pg_backend_pid()")
		}
		require.Equal(t, pid, s.Value("SELECT pg_backend_pid()"))
		s.Finalize()
	}
	require.Equal(t, "9", db.Value("SELECT count(*) FROM t"))
}

func TestUnderTLSLargeParametersAndResultsCross(t *testing.T) {
	t.Parallel()
	_, d, _ := beginTLS(t, oneConnection)
	s := d.Open("r", mainAlias)
	big := strings.Repeat("x", 2<<20)
	require.Equal(t, len(big), len(s.Value("SELECT $1::text || ''", big)))
	require.Len(t, s.Query("SELECT * FROM generate_series(1, 20000)"), 20_000)
}

func TestUnderTLSAStatementCanBeCancelledAndAConnectionLost(t *testing.T) {
	t.Parallel()
	db, d, proxy := beginTLS(t, oneConnection)
	s := d.Open("r", mainAlias)
	outcome := running(t, db, s)
	require.True(t, s.Core.Cancel(abi.CancelRequest))
	requireState(t, outcome(), queryCanceled)
	requireUsable(t, s)
	proxy.Add(toServer('E', pgtest.Cut))
	requireKind(t, s.Try("SELECT 'usable'"), wire.KindConnectionLost)
	requireUsable(t, s)
}

func TestAServerWithoutTLSIsRefusedWhereTLSIsRequired(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	proxy := pgtest.NewProxy(t)
	info := proxy.ConnInfo(db)
	info["sslmode"] = "require"
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind(pgtest.KindTLS), Do: pgtest.Cut})
	d.Configure("required", info, nil)
	requireKind(t, d.Open("r", "required").Try("SELECT 1"), wire.KindOperational)
	require.NotContains(t, proxy.Kinds(pgtest.ToServer), string(pgtest.KindStartup), "it went on in plain text")
}
