package tests

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/session"
	"hypern/go/wire"
)

func TestConfigureConnectsToNothing(t *testing.T) {
	t.Parallel()
	db, d := begin(t, func(c *pool.Config) { c.MinIdle = 3 })
	require.Equal(t, "0", db.Backends())
	require.Equal(t, pool.Status{MaxSize: 5, Holders: []pool.HolderInfo{}}, d.Status(mainAlias))
}

func TestAReleasedConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	pids := map[string]bool{}
	for range 5 {
		s := d.Open("r", mainAlias)
		pids[s.Value("SELECT pg_backend_pid()")] = true
		s.Finalize()
	}
	require.Len(t, pids, 1)
}

func TestWaitersAreServedInTheOrderTheyCame(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	holder := d.Open("holder", mainAlias)
	holder.Query("SELECT 1")
	const n = 8
	order := make(chan int, n)
	var wait sync.WaitGroup
	for i := range n {
		s := d.Open("waiter "+itoa(i), mainAlias)
		wait.Go(func() {
			s.Query("SELECT 1")
			order <- i
			s.Finalize()
		})
		d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Waiting == i+1 })
	}
	holder.Finalize()
	wait.Wait()
	for i := range n {
		require.Equal(t, i, <-order)
	}
}

func TestALateComerDoesNotOvertakeAWaiter(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	holder := d.Open("holder", mainAlias)
	holder.Query("SELECT 1")
	first := d.Open("first", mainAlias)
	served := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		first.Query("SELECT 1")
		close(served)
		first.Finalize()
	})
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Waiting == 1 })
	holder.Finalize()
	late := d.Open("late", mainAlias)
	late.Query("SELECT 1")
	select {
	case <-served:
	default:
		t.Fatal("the late comer was served first")
	}
	wait.Wait()
}

func TestMaxSizeIsObeyedUnderStress(t *testing.T) {
	t.Parallel()
	const size, workers, rounds = 3, 16, 30
	db, d := begin(t, func(c *pool.Config) { c.MaxSize, c.IdleMS, c.LifetimeMS = size, 30, 100 })
	db.Query("CREATE TABLE t (n int); INSERT INTO t VALUES (0)")
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := range rounds {
				s := d.Open("worker "+itoa(w), mainAlias)
				switch rand.IntN(5) {
				case 0:
					s.Begin()
					s.Execute("UPDATE t SET n = n + 1")
				case 1:
					s.Try("SELECT 1/0")
				case 2:
					s.Hook = at(afterSending, rand.IntN(2), pgtest.Abandon)
					s.Try("SELECT " + itoa(i))
					s.Hook = nil
				case 3:
					s.Begin()
				default:
					s.Query("SELECT 1")
				}
				st := d.Status(mainAlias)
				if st.Size > size || st.InUse > size || len(st.Holders) > size {
					t.Errorf("the pool has grown: %+v", st)
				}
				s.Finalize()
			}
		})
	}
	wait.Wait()
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.InUse == 0 && st.Waiting == 0 })
	require.Zero(t, d.Registry.Count())
}

func TestMinIdleConnectionsAreMadeOnceThePoolIsUsedAndKept(t *testing.T) {
	t.Parallel()
	db, d, proxy := beginProxied(t, func(c *pool.Config) { c.MinIdle, c.IdleMS = 2, 40 })
	s := d.Open("r", mainAlias)
	s.Query("SELECT 1")
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Available == 2 && st.InUse == 1 })
	s.Finalize()
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Size == 2 && st.Available == 2 })
	db.Query("SELECT pg_sleep(0.3)") // several times the idle timeout
	require.Equal(t, 3, proxy.Connections(), "the idle ones are kept, not made again and again")
}

func TestMinIdleConnectionsThatReachTheirLifetimeAreReplaced(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, func(c *pool.Config) { c.MinIdle, c.LifetimeMS = 2, 60 })
	d.Open("r", mainAlias).Query("SELECT 1")
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Available == 2 && proxy.Connections() > 4 })
}

func TestIdleConnectionsAreClosedAfterTheIdleTimeout(t *testing.T) {
	t.Parallel()
	db, d := begin(t, func(c *pool.Config) { c.IdleMS = 40 })
	a, b := d.Open("a", mainAlias), d.Open("b", mainAlias)
	a.Query("SELECT 1")
	b.Query("SELECT 1")
	a.Finalize()
	b.Finalize()
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Size == 0 })
	db.AwaitBackends(0)
	requireUsable(t, d.Open("c", mainAlias))
}

func TestAConnectionInUseOutlivesItsLifetimeAndIsClosedAtRelease(t *testing.T) {
	t.Parallel()
	_, d := begin(t, func(c *pool.Config) { c.MaxSize, c.LifetimeMS = 1, 50 })
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	s.Query("SELECT pg_sleep(0.1)")
	require.Equal(t, pid, s.Value("SELECT pg_backend_pid()"))
	s.Finalize()
	require.NotEqual(t, pid, d.Open("r", mainAlias).Value("SELECT pg_backend_pid()"))
}

func TestPoolTimeoutTellsWhoHoldsTheConnectionsAndNoParameterValues(t *testing.T) {
	t.Parallel()
	_, d := begin(t, func(c *pool.Config) { c.MaxSize = 2 })
	a, b := d.Open("request-a", mainAlias), d.Open("request-b", mainAlias)
	a.Query("SELECT  $1::text\n AS a", "secret-value")
	b.Begin()
	b.Query("SELECT $1::text AS b", "secret-value")
	waiter := d.Open("request-c", mainAlias)
	waiter.Hook = func(pgtest.Point) pgtest.Action { return pgtest.TimeOut }
	for _, op := range []abi.Op{abi.OpStatement, abi.OpBegin, abi.OpMany} {
		r := waiter.Run(op, "SELECT 1")
		requireKind(t, r, wire.KindPoolTimeout)
		require.True(t, r.Fault.SafeToRetry)
		for _, part := range []string{`"main"`, "2 of 2 in use", `"request-a"`, `"request-b"`, "SELECT $1::text AS a", "in_transaction"} {
			require.Contains(t, r.Fault.Message, part)
		}
		require.NotContains(t, r.Fault.Message, "secret-value")
		require.NotContains(t, r.Fault.Message, "request-c")
	}
	require.Zero(t, d.Status(mainAlias).Waiting)
	a.Finalize()
	waiter.Hook = nil
	requireUsable(t, waiter)
}

func TestAStatementThatHangsWhileItIsParsedIsAmongTheHoldersWithItsText(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	db.Query("CREATE TABLE t (n int)")
	db.Query("BEGIN; LOCK TABLE t")
	s := d.Open("r", mainAlias)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Query("SELECT n FROM t")
	}()
	d.AwaitStatus(mainAlias, func(st pool.Status) bool {
		return len(st.Holders) == 1 && st.Holders[0].SQL == "SELECT n FROM t"
	})
	db.Query("COMMIT")
	<-done
}

func TestATimeoutAndAGrantAtTheSameMomentNeitherHangNorLeak(t *testing.T) {
	t.Parallel()
	_, d := begin(t, func(c *pool.Config) { c.MaxSize, c.AcquireMS = 1, 1 })
	var wait sync.WaitGroup
	for w := range 6 {
		wait.Go(func() {
			for range 60 {
				s := d.Open("worker "+itoa(w), mainAlias)
				if r := s.Try("SELECT 1"); r.Fault != nil && r.Fault.Kind != wire.KindPoolTimeout {
					t.Error(r.Fault)
				}
				s.Finalize()
			}
		})
	}
	wait.Wait()
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.InUse == 0 && st.Waiting == 0 })
}

func TestAWaiterThatLeavesGivesItsPlaceUp(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	holder := d.Open("holder", mainAlias)
	holder.Query("SELECT 1")
	leaver, stayer := d.Open("leaver", mainAlias), d.Open("stayer", mainAlias)
	leaver.Hook = at(beforeWait, 0, pgtest.Abandon)
	requireState(t, leaver.Try("SELECT 1"), queryCanceled)
	require.Zero(t, d.Status(mainAlias).Waiting)
	leaver.Hook = nil

	done := make(chan struct{})
	go func() {
		defer close(done)
		requireUsable(t, stayer)
	}()
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Waiting == 1 })
	holder.Finalize()
	<-done
	stayer.Finalize()
	requireUsable(t, leaver)
}

func TestAWaiterThatLeavesAfterItWasServedGivesTheConnectionBack(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	holder, leaver := d.Open("holder", mainAlias), d.Open("leaver", mainAlias)
	holder.Query("SELECT 1")
	leaver.Hook = func(p pgtest.Point) pgtest.Action {
		if p == beforeWait {
			holder.Finalize() // the leaver is served now
			return pgtest.Abandon
		}
		return pgtest.Serve
	}
	requireState(t, leaver.Run(abi.OpBegin, "BEGIN"), queryCanceled)
	require.Equal(t, 1, d.Status(mainAlias).Available)
	requireUsable(t, d.Open("next", mainAlias))
}

func TestAWrongPasswordOrDatabaseIsTheConnectingCallsError(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	info := db.ConnInfo()
	info["dbname"] = "no_such_database"
	d.Configure("nowhere", info, nil)
	s := d.Open("r", "nowhere")
	r := s.Run(abi.OpBegin, "BEGIN")
	requireState(t, r, "3D000")
	require.True(t, r.Fault.SafeToRetry)
	require.Contains(t, d.Status("nowhere").LastError, "no_such_database")
	require.Equal(t, "idle", s.State())
	s.Finalize()
}

func TestAServerThatIsDownIsAnErrorForEachCallerAndNoneHangs(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	d.Configure("down", map[string]string{"host": "127.0.0.1", "port": "1", "user": "u", "password": "secret-value",
		"dbname": "d", "sslmode": "disable"}, oneConnection)
	var wait sync.WaitGroup
	for i := range 4 {
		s := d.Open("r"+itoa(i), "down")
		wait.Go(func() {
			r := s.Try("SELECT 1")
			requireKind(t, r, wire.KindOperational)
			require.NotContains(t, r.Fault.Message, "secret-value")
		})
	}
	wait.Wait()
	require.Zero(t, d.Status("down").Size)
}

// serve settles the jobs of a driver's pools as Python's thread would, until the test ends.
func serve(t *testing.T, d *pgtest.Driver, settle func(job pool.Job) (ok bool, text string)) {
	done := make(chan struct{})
	ended := make(chan struct{})
	t.Cleanup(func() { close(done); <-ended })
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			for job := d.Registry.Attendant().Take(); job != nil; job = d.Registry.Attendant().Take() {
				ok, text := settle(*job)
				d.Registry.Attendant().Settle(job.Ticket, ok, text)
			}
		}
	}()
}

func TestEachDialAsksForThePassword(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	d.Configure("asked", db.ConnInfo(), func(c *pool.Config) { c.CallablePassword = true })
	var asked atomic.Int32
	serve(t, d, func(job pool.Job) (bool, string) {
		asked.Add(1)
		return job.Alias == "asked", db.ConnInfo()["password"]
	})
	first, second := d.Open("first", "asked"), d.Open("second", "asked")
	requireUsable(t, first)
	requireUsable(t, first)
	require.EqualValues(t, 1, asked.Load())
	requireUsable(t, second)
	require.EqualValues(t, 2, asked.Load())
	second.Finalize()
	requireUsable(t, d.Open("third", "asked"))
	require.EqualValues(t, 2, asked.Load())
}

func TestAPasswordThatIsNotGivenInTimeFailsTheDial(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	d.Configure("asked", db.ConnInfo(), func(c *pool.Config) { c.CallablePassword, c.ConnectMS = true, 50 })
	r := d.Open("r", "asked").Try("SELECT 1")
	requireKind(t, r, wire.KindOperational)
	require.Contains(t, r.Fault.Message, "has not been called within 50ms (connect_timeout_secs)")
}

func TestTestBeforeAcquireReplacesADeadConnectionSilently(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, func(c *pool.Config) { c.MaxSize, c.TestOnAcquire = 1, true })
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	s.Finalize()
	next := d.Open("r", mainAlias)
	require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"))
	next.Finalize()
	// It looks alive until it is asked: the proxy cuts at the probe.
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind('S'), Do: pgtest.Cut})
	require.NotEqual(t, pid, d.Open("r", mainAlias).Value("SELECT pg_backend_pid()"))
}

func TestAConnectionThatDiedIdleIsReplacedSilently(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	a, b := d.Open("a", mainAlias), d.Open("b", mainAlias)
	requireUsable(t, a)
	requireUsable(t, b)
	a.Finalize()
	b.Finalize()
	terminateAll(db)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireUsable(t, s)
	s.Commit()
}

func TestAcquireTimeoutBoundsTheWholeWaitForAConnection(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, func(c *pool.Config) { c.AcquireMS, c.ConnectMS = 60, 10_000 })
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Nth(0, 0), Do: pgtest.BlackHole})
	started := time.Now()
	requireKind(t, d.Open("r", mainAlias).Try("SELECT 1"), wire.KindPoolTimeout)
	require.Less(t, time.Since(started), 5*time.Second)
}

func TestConnectTimeoutBoundsEveryPartOfConnecting(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]*pgtest.Rule{
		"authentication": {Direction: pgtest.ToClient, When: pgtest.Nth(0, 0), Do: pgtest.BlackHole},
		"first question": {Direction: pgtest.ToServer, When: pgtest.Kind('Q'), Do: pgtest.BlackHole},
	} {
		t.Run(name, func(t *testing.T) {
			_, d, proxy := beginProxied(t, func(c *pool.Config) { c.MaxSize, c.ConnectMS = 1, 2_000 }) // room for a busy machine to make the next one
			proxy.Add(rule)
			r := d.Open("r", mainAlias).Try("SELECT 1")
			requireKind(t, r, wire.KindOperational)
			require.Contains(t, r.Fault.Message, "connect_timeout_secs")
			requireUsable(t, d.Open("next", mainAlias))
		})
	}
}

func TestAnIOTellsWhetherItsSocketIsLocal(t *testing.T) {
	t.Parallel()
	db, direct := begin(t, nil)
	_, proxied, _ := beginProxied(t, nil) // by TCP
	unix := strings.HasPrefix(db.ConnInfo()["host"], "/")
	for d, local := range map[*pgtest.Driver]bool{direct: unix, proxied: false} {
		s := d.Open("request", mainAlias)
		s.Query("SELECT 1") // there is a connection now
		call := session.Call{Op: abi.OpStatement, SQL: "SELECT 1", Timeout: -1}
		s.Core.Step(&call)
		require.Equal(t, abi.WantEncode, call.Want)
		call = session.Call{Op: abi.OpContinue}
		s.Core.Step(&call)
		require.Equal(t, abi.WantIO, call.Want)
		require.Equal(t, local, call.IOFlags&abi.IOLocal != 0)
		s.Core.Step(&session.Call{Op: abi.OpAbandon})
	}
}
