package tests

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

func TestFinalizeCommitsUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(core interface{ Set(int32, int32) uint32 })
		want   string
	}{
		"by default":           {func(interface{ Set(int32, int32) uint32 }) {}, "1"},
		"with an error marked": {func(s interface{ Set(int32, int32) uint32 }) { s.Set(abi.SetError, 1) }, "0"},
		"with auto-commit off": {func(s interface{ Set(int32, int32) uint32 }) { s.Set(abi.SetAutoCommit, 0) }, "0"},
		"with auto-commit on again": {func(s interface{ Set(int32, int32) uint32 }) {
			s.Set(abi.SetAutoCommit, 0)
			s.Set(abi.SetAutoCommit, 1)
		}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			db, d := begin(t, oneConnection)
			db.Query("CREATE TABLE t (n int)")
			s := d.Open("r", mainAlias)
			s.Begin()
			s.Execute("INSERT INTO t VALUES (1)")
			c.before(s.Core)
			s.Finalize()
			require.Equal(t, 1, d.Status(mainAlias).Available)
			require.Equal(t, c.want, d.Open("next", mainAlias).Value("SELECT count(*) FROM t"))
		})
	}
}

func TestFinalizeOfASessionThatDidNothingTalksToNobody(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	d.Open("r", mainAlias).Finalize()
	require.Equal(t, "0", db.Backends())
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Finalize()
	requireUsable(t, d.Open("r", mainAlias))
}

func TestFinalizeReportsACommitThatFailsAndReleasesAllTheSame(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Execute("INSERT INTO t VALUES (1), (1)")
	requireState(t, s.Run(abi.OpFinalize, ""), uniqueViolation)
	require.Equal(t, "closed", s.State())
	require.Equal(t, 1, d.Status(mainAlias).Available)
	requireUsable(t, d.Open("next", mainAlias))
}

func TestFinalizeOverAnAbortedTransactionReportsThatNothingWasCommitted(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireState(t, s.Try("SELECT 1/0"), divisionByZero)
	r := s.Run(abi.OpFinalize, "")
	requireKind(t, r, wire.KindTransactionAborted)
	require.Equal(t, divisionByZero, r.Fault.Cause.SQLState)
	require.Equal(t, "closed", s.State())
	requireUsable(t, d.Open("next", mainAlias))
}

func TestFinalizeOverAnAbortedTransactionThatWouldHaveBeenRolledBackHasNothingToSay(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	requireState(t, s.Try("SELECT 1/0"), divisionByZero)
	s.Core.Set(abi.SetError, 1)
	require.Zero(t, s.Must(abi.OpFinalize, "").Count)
}

func TestFinalizeAfterALostTransactionThatTheCallerKnowsOfReportsThatNothingWasCommitted(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Query("SELECT 1")
	terminateAll(db)
	requireKind(t, s.Try("SELECT 1"), wire.KindConnectionLost)
	requireKind(t, s.Run(abi.OpFinalize, ""), wire.KindTransactionAborted)
	requireUsable(t, d.Open("next", mainAlias))
}

func TestFinalizeReportsATransactionThatWasLostUnnoticed(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Query("SELECT 1")
	terminateAll(db)
	r := s.Run(abi.OpFinalize, "")
	requireKind(t, r, wire.KindConnectionLost)
	require.False(t, r.Fault.SafeToRetry)
	require.Equal(t, "closed", s.State())
	requireUsable(t, d.Open("next", mainAlias))
}

// left is what one request leaves on its connection, and how the next one would see it.
var left = map[string]struct{ leave, look, clean string }{
	"a setting":               {"SET statement_timeout = '77s'", "SHOW statement_timeout", "0"},
	"search_path":             {"SET search_path TO pg_catalog", "SHOW search_path", `"$user", public`},
	"the time zone":           {"SET TIME ZONE 'Asia/Tokyo'", "SELECT (current_setting('TimeZone') = 'Asia/Tokyo')::text", "false"},
	"a role":                  {"SET ROLE pg_monitor", "SELECT (current_user = 'pg_monitor')::text", "false"},
	"a session authorization": {"SET SESSION AUTHORIZATION pg_monitor", "SELECT (session_user = 'pg_monitor')::text", "false"},
	"a temporary table":       {"CREATE TEMPORARY TABLE scratch (n int)", "SELECT count(*) FROM pg_class WHERE relname = 'scratch'", "0"},
	"an advisory lock":        {lockSQL, locksSQL, "0"}, // of this database: other tests lock in theirs
	"a subscription":          {"DO $$ BEGIN EXECUTE 'LISTEN news'; END $$", "SELECT count(*) FROM pg_listening_channels()", "0"},
	"a cursor":                {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE name = 'c'", "0"},
	"a prepared statement":    {"PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'", "0"},
	"a sequence's cache":      {"SELECT nextval('s')", "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND relation = 's'::regclass", "0"},
}

func TestTheNextRequestSeesNothingOfWhatOneLeaves(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE SEQUENCE s CACHE 10")
	d.Open("warm", mainAlias).Finalize()
	var pid string
	for name, c := range left {
		for _, how := range []string{"outside", "committed", "rolled back", "aborted"} {
			s := d.Open("leaver", mainAlias)
			if pid == "" {
				pid = s.Value("SELECT pg_backend_pid()")
			}
			if how != "outside" {
				s.Begin()
			}
			s.Execute(c.leave)
			switch how {
			case "rolled back":
				s.Core.Set(abi.SetError, 1)
			case "aborted":
				requireState(t, s.Try("SELECT 1/0"), divisionByZero)
			}
			if r := s.Run(abi.OpFinalize, ""); how == "aborted" {
				requireKind(t, r, wire.KindTransactionAborted)
			} else {
				require.Nil(t, r.Fault)
			}
			next := d.Open("next", mainAlias)
			require.Equal(t, c.clean, next.Value(c.look), "%s, %s", name, how)
			require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"), "it was not the same connection")
			next.Finalize()
		}
	}
}

func TestCommitStillWorksAfterARequestThatPreparedBySQL(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	for range 3 {
		s := d.Open("r", mainAlias)
		s.Begin()
		s.Execute("PREPARE mine AS SELECT 1")
		s.Finalize()
		s = d.Open("r", mainAlias)
		s.Begin()
		requireUsable(t, s)
		s.Finalize()
	}
}

func TestDeallocateAllAndDiscardAllDoNotBreakTheConnectionsStatements(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	for _, sql := range []string{"DEALLOCATE ALL", "DISCARD ALL"} {
		s := d.Open("r", mainAlias)
		s.Begin()
		requireUsable(t, s)
		s.Commit()
		s.Execute(sql)
		s.Begin()
		requireUsable(t, s)
		s.Commit()
		s.Finalize()
	}
}

func TestResetTransactionAndOffUndoAnOpenTransactionAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, reset := range []string{connection.ResetTransaction, connection.ResetOff} {
		t.Run(reset, func(t *testing.T) {
			db, d := begin(t, func(c *pool.Config) { c.MaxSize, c.Reset = 1, reset })
			db.Query("CREATE TABLE t (n int)")
			s := d.Open("r", mainAlias)
			s.Execute("SET application_name = 'kept'")
			s.Begin()
			s.Execute("INSERT INTO t VALUES (1)")
			s.Core.Set(abi.SetAutoCommit, 0)
			s.Finalize()
			s = d.Open("r", mainAlias)
			require.Equal(t, "kept", s.Value("SHOW application_name"))
			require.Equal(t, "0", s.Value("SELECT count(*) FROM t"))
		})
	}
}

func TestTheResetTravelsBehindCommitInTheSameWrite(t *testing.T) {
	t.Parallel()
	db, d, proxy := beginProxied(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	s.Begin()
	s.Execute("INSERT INTO t VALUES (1)")
	proxy.Forget()
	r := s.Must(abi.OpFinalize, "")
	require.Equal(t, []abi.Want{abi.WantIO, abi.WantDone}, r.Wants)
	d.Open("next", mainAlias).Query("SELECT 1") // collects the reset's answer
	require.Equal(t, "QQ", proxy.Kinds(0)[:2])
}

func TestAResetThatFailsIsRepaired(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	pid := s.Value("SELECT pg_backend_pid()")
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Tagged("RESET"),
		Append: []byte("E\x00\x00\x00\x10SERROR\x00Mno\x00\x00")})
	s.Finalize()
	next := d.Open("next", mainAlias)
	requireUsable(t, next)
	require.Equal(t, pid, next.Value("SELECT pg_backend_pid()"))
}

func TestTheFirstStatementOfATransactionTravelsBehindAResetNotYetAnswered(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Execute("SET application_name = 'left behind'")
	hold := make(chan struct{})
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Tagged("RESET"), Hold: hold})
	s.Finalize()
	next := d.Open("next", mainAlias)
	require.Equal(t, []abi.Want{abi.WantDone}, next.Must(abi.OpBegin, "BEGIN").Wants, "it waited for the reset")
	close(hold)
	require.NotEqual(t, "left behind", next.Value("SHOW application_name"))
	next.Commit()
	require.Equal(t, "committed", next.State())
	requireUsable(t, next)
}

func TestAStatementBehindAResetThatFailsIsRolledBackAndRunsOnceMore(t *testing.T) {
	t.Parallel()
	db, d, proxy := beginProxied(t, oneConnection)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	s.Value("SELECT pg_backend_pid()")
	hold := make(chan struct{})
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Tagged("RESET"), Hold: hold,
		Append: []byte("E\x00\x00\x00\x10SERROR\x00Mno\x00\x00")})
	s.Finalize()
	next := d.Open("next", mainAlias)
	next.Must(abi.OpBegin, "BEGIN")
	close(hold)
	next.Execute("INSERT INTO t VALUES (1)")
	require.True(t, next.InTransaction())
	require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
	next.Finalize()
	require.Equal(t, "1", db.Value("SELECT count(*) FROM t"))
}

func TestOutsideATransactionAStatementWaitsForTheReset(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	s.Value("SELECT pg_backend_pid()")
	hold := make(chan struct{})
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Tagged("RESET"), Hold: hold})
	s.Finalize()
	next := d.Open("next", mainAlias)
	next.Must(abi.OpBegin, "BEGIN")
	next.Rollback() // nothing was sent, and the reset is still not answered
	var once sync.Once
	next.Hook = func(p pgtest.Point) pgtest.Action {
		if p.Want == abi.WantWait {
			once.Do(func() { close(hold) })
		}
		return pgtest.Serve
	}
	r := next.Try("SELECT 1")
	require.Nil(t, r.Fault)
	require.Equal(t, abi.WantWait, r.Wants[0])
}
