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

// abandonedWhileCancelled leaves a session's statement running, its request to cancel held back, and the
// operation abandoned. letGo passes the request on.
func abandonedWhileCancelled(t *testing.T) (db *pgtest.DB, d *pgtest.Driver, s *pgtest.Session, letGo func()) {
	t.Helper()
	db, d, proxy := beginProxied(t, oneConnection)
	s = d.Open("r", mainAlias)
	requireUsable(t, s)
	hold := make(chan struct{})
	rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind(pgtest.KindCancel), Hold: hold})
	sent := 0
	s.Hook = func(p pgtest.Point) pgtest.Action {
		if p.Sent {
			sent++
		}
		if !p.Sent || sent < 2 { // it is described first
			return pgtest.Serve
		}
		db.AwaitActive("pg_sleep(7)")
		require.True(t, s.Core.Cancel(abi.CancelLate))
		<-rule.Fired()
		return pgtest.Abandon
	}
	r := s.Try("SELECT pg_sleep(7)")
	requireKind(t, r, wire.KindConnectionLost)
	s.Hook = nil
	return db, d, s, func() { close(hold) }
}

func TestAnAbandonedConnectionCountsUntilTheServerHasLetGoOfIt(t *testing.T) {
	t.Parallel()
	db, d, s, letGo := abandonedWhileCancelled(t)
	st := d.Status(mainAlias)
	require.Equal(t, []int{1, 0, 0}, []int{st.Size, st.InUse, st.Available})
	require.Empty(t, st.Holders)
	letGo()
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Size == 0 })
	db.AwaitBackends(0)
	requireUsable(t, s)
	require.Equal(t, 1, d.Status(mainAlias).Size)
}

func TestCloseWaitsForTheRequestToCancelOfAnAbandonedConnection(t *testing.T) {
	t.Parallel()
	db, d, s, letGo := abandonedWhileCancelled(t)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		d.Close(mainAlias)
	}()
	select {
	case <-closed:
		t.Fatal("the request to cancel was still under way")
	case <-time.After(50 * time.Millisecond):
	}
	letGo()
	<-closed
	db.AwaitBackends(0) // else it would sleep for seconds more
	s.Finalize()
}

func TestAWaiterGetsThePlaceOfAnAbandonedConnectionInABoundedTime(t *testing.T) {
	t.Parallel()
	_, d, s, letGo := abandonedWhileCancelled(t)
	began := time.Now()
	requireUsable(t, s) // there is room for one connection only
	require.Less(t, time.Since(began), 2*time.Second)
	require.Equal(t, 1, d.Status(mainAlias).Size)
	letGo()
}

func TestClosingThePoolEndsTheCloseOfAnAbandonedConnection(t *testing.T) {
	t.Parallel()
	_, d, _, letGo := abandonedWhileCancelled(t)
	began := time.Now()
	d.Close(mainAlias)
	require.Less(t, time.Since(began), 500*time.Millisecond)
	letGo()
}
