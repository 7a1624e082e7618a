package tests

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hypern/go/pgtest"
	"hypern/go/pool"
)

// slowDial is far longer than the short requests of a burst take together.
const slowDial = 300 * time.Millisecond

// beginGrown makes a pool of up to 32 connections that has five idle ones, and whose dials take slowDial.
func beginGrown(t *testing.T) (*pgtest.Driver, *pgtest.Proxy, *pgtest.Rule) {
	t.Helper()
	_, d, proxy := beginProxied(t, func(c *pool.Config) { c.MaxSize = 32 })
	slow := proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: pgtest.Kind(pgtest.KindStartup), Delay: slowDial, Again: true})
	var wait sync.WaitGroup
	for i := range 5 {
		s := d.Open("warm "+itoa(i), mainAlias)
		wait.Go(func() { s.Query("SELECT pg_sleep(0.1)") })
	}
	wait.Wait()
	for i := range 5 {
		d.Open("warm "+itoa(i), mainAlias).Finalize()
	}
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Available == 5 })
	require.Equal(t, 5, proxy.Connections(), "an empty pool dials for all who wait, at once")
	return d, proxy, slow
}

func TestABurstOfShortRequestsDialsOnceAtMost(t *testing.T) {
	t.Parallel()
	d, proxy, _ := beginGrown(t)
	began := time.Now()
	var wait sync.WaitGroup
	for i := range 32 {
		s := d.Open("request "+itoa(i), mainAlias)
		wait.Go(func() {
			s.Query("SELECT 1")
			s.Finalize()
		})
	}
	wait.Wait()
	if time.Since(began) < slowDial { // else the machine was too slow for connections to come back sooner
		require.LessOrEqual(t, proxy.Connections(), 6)
	}
}

func TestWhoeverIsStillQueuedAfterADialsUsualTimeHasADialOfItsOwn(t *testing.T) {
	t.Parallel()
	d, proxy, _ := beginGrown(t)
	for i := range 5 { // none comes back
		d.Open("holder "+itoa(i), mainAlias).Query("SELECT 1")
	}
	began := time.Now()
	var wait sync.WaitGroup
	for i := range 20 {
		s := d.Open("request "+itoa(i), mainAlias)
		wait.Go(func() { s.Query("SELECT 1") })
	}
	d.AwaitStatus(mainAlias, func(st pool.Status) bool { return st.Waiting == 20 })
	require.LessOrEqual(t, proxy.Connections(), 6)
	wait.Wait()
	require.Equal(t, 25, proxy.Connections())
	require.Less(t, time.Since(began), 10*slowDial, "they were dialed for one after the other")
}

func TestADialThatHangsKeepsNobodyElseFromOneOfTheirOwn(t *testing.T) {
	t.Parallel()
	d, proxy, slow := beginGrown(t)
	for i := range 5 {
		d.Open("holder "+itoa(i), mainAlias).Query("SELECT 1")
	}
	hold := make(chan struct{})
	defer close(hold)
	slow.Again = false // its last use
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: func(m pgtest.Message) bool {
		return m.Kind == pgtest.KindStartup && m.Conn == 5
	}, Hold: hold})
	served := make(chan struct{})
	for i := range 3 {
		s := d.Open("request "+itoa(i), mainAlias)
		go func() {
			if s.Try("SELECT 1").Fault == nil {
				served <- struct{}{}
			}
		}()
	}
	for range 2 {
		select {
		case <-served:
		case <-time.After(20 * slowDial):
			t.Fatal("it waited for the dial that hangs")
		}
	}
	d.Open("holder 0", mainAlias).Finalize()
	<-served
}
