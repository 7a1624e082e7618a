package tests

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
)

// handOver has next run a statement that waits for the connection which holder then gives back.
func handOver(d *pgtest.Driver, holder, next *pgtest.Session, sql string, params ...any) pgtest.Result {
	var r pgtest.Result
	var wait sync.WaitGroup
	wait.Go(func() { r = next.Try(sql, params...) })
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Waiting == 1 })
	holder.Finalize()
	wait.Wait()
	return r
}

func TestAStatementThatWaitedForItsConnectionTravelsBehindTheReset(t *testing.T) {
	t.Parallel()
	for _, committing := range []bool{false, true} {
		_, d, proxy := beginProxied(t, oneConnection)
		var r pgtest.Result
		for _, request := range []string{"first", "second", "third"} { // the first two parse
			proxy.Forget()
			s := d.Open(request, mainAlias)
			if committing {
				s.Begin()
			}
			s.Query("SELECT 1")
			proxy.Forget()
			r = handOver(d, s, d.Open("after the "+request, mainAlias), "SELECT 1")
			require.Nil(t, r.Fault)
			d.Open("after the "+request, mainAlias).Finalize()
		}
		require.Equal(t, []abi.Want{abi.WantWait, abi.WantIO, abi.WantDone}, r.Wants)
		commit := ""
		if committing {
			commit = "Q"
		}
		behind := strings.Repeat("BE", 9) + "BES"
		require.Equal(t, commit+behind, proxy.Kinds(pgtest.ToServer)[:len(commit+behind)])
	}
}

func TestTheRequestThatWaitedSeesNothingOfWhatTheOneBeforeHasLeft(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE SEQUENCE s CACHE 10")
	pid := d.Open("warm", mainAlias).Value("SELECT pg_backend_pid()")
	d.Open("warm", mainAlias).Finalize()
	for name, c := range left {
		for _, how := range []string{"outside", "committed", "rolled back", "not known yet", "to be encoded"} {
			s := d.Open("leaver", mainAlias)
			look := c.look + " -- " + how
			if how != "not known yet" {
				s.Query(look)
			}
			if how == "committed" || how == "rolled back" {
				s.Begin()
			}
			s.Execute(c.leave)
			if how == "rolled back" {
				s.Core.Set(abi.SetError, 1)
			}
			next := d.Open("next", mainAlias)
			next.NoGuess = how == "to be encoded"
			r := handOver(d, s, next, look)
			require.Nil(t, r.Fault, "%s, %s", name, how)
			require.Equal(t, c.clean, r.Rows[0][0], "%s, %s", name, how)
			require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"), "it was not the same connection")
			next.Finalize()
		}
	}
}

func TestAResetStandsWhenTheStatementBehindItFails(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	const fails = "SELECT 1 / $1::int"
	s := d.Open("r", mainAlias)
	require.Equal(t, "1", s.Value(fails, 1))
	s.Execute("SET application_name = 'left behind'")
	next := d.Open("next", mainAlias)
	requireState(t, handOver(d, s, next, fails, 0), divisionByZero)
	require.NotEqual(t, "left behind", next.Value("SHOW application_name"))
	require.Equal(t, "connected", next.State())
}

func TestAStatementBehindAResetThatFailsRunsOnceTheResetIsRepaired(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int); CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS " +
		"$$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$")
	const insert = "INSERT INTO t VALUES ($1)"
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	s.Execute(insert, 1)
	handOver(d, s, d.Open("prepares the reset", mainAlias), insert, 2)
	s = d.Open("prepares the reset", mainAlias)
	s.Query("SELECT forget()") // nothing in the answer tells of it
	next := d.Open("next", mainAlias)
	require.Nil(t, handOver(d, s, next, insert, 3).Fault)
	require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"))
	require.Equal(t, "3", db.Value("SELECT count(*) FROM t"))
	require.Equal(t, 1, d.Status(mainAlias).Size)
}

func TestAConnectionHandedOverToSomeoneWhoLeavesIsReset(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	s.Execute("SET application_name = 'left behind'")
	next := d.Open("next", mainAlias)
	next.Hook = func(p pgtest.Point) pgtest.Action {
		if p.Want == abi.WantWait {
			s.Finalize() // the connection is granted
			return pgtest.Abandon
		}
		return pgtest.Serve
	}
	require.NotNil(t, next.Try("SELECT 1").Fault)
	next.Hook = nil
	require.NotEqual(t, "left behind", next.Value("SHOW application_name"))
	require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"))
}
