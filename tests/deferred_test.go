package tests

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
)

const (
	lockSQL = "SELECT pg_advisory_lock(42)"
	// Of the test's own database: others run beside it on the same server.
	locksSQL = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database =" +
		" (SELECT oid FROM pg_database WHERE datname = current_database())"
)

// brisk has the pool's only connection change hands, so that the next reset is deferred. It returns the
// session that has the connection.
func brisk(d *pgtest.Driver) *pgtest.Session {
	s := d.Open("warm", mainAlias)
	s.Query("SELECT 1")
	next := d.Open("after the warm", mainAlias)
	handOver(d, s, next, "SELECT 1")
	return next
}

func TestAResetIsDeferredAndTravelsAheadOfTheNextStatement(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		_, d, proxy := beginProxied(t, oneConnection)
		behind := strings.Repeat("BE", 9)
		if begun {
			behind += "BE" // its own BEGIN
		}
		behind += "BES"
		var kinds string
		for range 50 { // once in time: the pool does not wait for long
			s := brisk(d)
			proxy.Forget()
			s.Finalize()
			next := d.Open("next", mainAlias)
			if begun {
				next.Begin()
			}
			next.Query("SELECT 1")
			if kinds = proxy.Kinds(pgtest.ToServer); kinds == behind {
				break
			}
			next.Finalize()
		}
		require.Equal(t, behind, kinds)
	}
}

func TestAStatementBehindADeferredResetRunsElsewhereIfTheServerHasSaidGoodbye(t *testing.T) {
	t.Parallel()
	const pidSQL = "SELECT pg_backend_pid()"
	db, d, proxy := beginProxied(t, oneConnection)
	for range 50 { // once in time: the pool does not wait for long
		s := brisk(d)
		pid := s.Value(pidSQL)
		kinds := ""
		amid := func(m pgtest.Message) bool { // in the reset; one sent by itself is Q
			kinds += string(m.Kind)
			return kinds == "BEB"
		}
		hold := make(chan struct{})
		rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: amid, Hold: hold})
		s.Finalize()
		go func() {
			select {
			case <-rule.Fired():
				db.Query("SELECT pg_terminate_backend(" + pid + ", 5000)")
				close(hold)
			case <-t.Context().Done():
			}
		}()
		next := d.Open("next", mainAlias)
		found := next.Value(pidSQL)
		next.Finalize()
		select {
		case <-rule.Fired():
			require.NotEqual(t, pid, found)
			return
		default:
		}
	}
	t.Fatal("the reset has never travelled with the statement")
}

func TestADeferredResetThatNobodyTakesAlongIsSentByThePool(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := brisk(d)
	pid := s.Value("SELECT pg_backend_pid()")
	s.Execute(lockSQL)
	require.Equal(t, "1", db.Value(locksSQL))
	s.Finalize()
	require.Equal(t, 1, d.Status(mainAlias).Available)
	db.Await(locksSQL, "0")
	require.Equal(t, pid, d.Open("next", mainAlias).Value("SELECT pg_backend_pid()"))
}

func TestADeferredResetIsSentForAHolderWhoSendsNothing(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := brisk(d)
	s.Execute(lockSQL)
	s.Finalize()
	next := d.Open("next", mainAlias)
	next.Begin() // which sends nothing
	db.Await(locksSQL, "0")
	require.Equal(t, "1", next.Value("SELECT 1"))
	next.Commit()
	require.Equal(t, "committed", next.State())
	requireUsable(t, next)
}

func TestADeferredResetIsSentForAWaiterWhoDoesNotCome(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := brisk(d)
	s.Execute(lockSQL)
	next := d.Open("next", mainAlias)
	next.Hook = func(p pgtest.Point) pgtest.Action {
		if p.Want == abi.WantWait && d.Status(mainAlias).Waiting == 1 {
			s.Finalize() // the connection is granted
			db.Await(locksSQL, "0")
		}
		return pgtest.Serve
	}
	require.Equal(t, "1", next.Value("SELECT 1"))
}

func TestATransactionThatIsNeverSentLeavesTheDeferredResetToTheNext(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	const look = "SHOW application_name"
	d.Open("knows", mainAlias).Query(look)
	d.Open("knows", mainAlias).Finalize()
	s := brisk(d)
	pid := s.Value("SELECT pg_backend_pid()")
	s.Execute("SET application_name = 'left behind'")
	s.Finalize()
	empty := d.Open("empty", mainAlias)
	empty.Begin()
	empty.Finalize()
	next := d.Open("next", mainAlias)
	require.NotEqual(t, "left behind", next.Value(look))
	require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"))
}

func readable(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n == 1 && err == nil
}

func TestNoResetIsDeferredWhereConnectionsAreTestedOnAcquire(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, func(c *pool.Config) { c.MaxSize, c.TestOnAcquire = 1, true })
	s := brisk(d)
	proxy.Forget()
	rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind('Q')})
	s.Finalize()
	<-rule.Fired()
	require.Equal(t, "Q", proxy.Kinds(pgtest.ToServer))
}
