package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/wire"
)

// block runs one of a block's operations.
func block(s *pgtest.Session, op abi.Op, number uint64) pgtest.Result {
	s.Block = number
	text := ""
	if op == abi.OpEnter {
		text = "file.py:7\nBEGIN"
	}
	return s.Run(op, text)
}

func TestBlocksAreATransactionAndItsSavepoints(t *testing.T) {
	t.Parallel()
	db, d := begin(t, nil)
	db.Query("CREATE TABLE t (n int)")
	s := d.Open("r", mainAlias)
	require.Nil(t, block(s, abi.OpEnter, 1).Fault)
	s.Execute("INSERT INTO t VALUES (1)")
	require.Nil(t, block(s, abi.OpEnter, 2).Fault)
	s.Execute("INSERT INTO t VALUES (2)")
	require.Nil(t, block(s, abi.OpUndo, 2).Fault)
	require.Nil(t, block(s, abi.OpUndo, 2).Fault, "it was left before")
	require.Nil(t, block(s, abi.OpLeave, 1).Fault)
	require.Equal(t, "1", db.Value("SELECT sum(n) FROM t"))
}

func TestABlockThatEndsInsideAnotherVoidsAllUntilTheyAreLeft(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	for n := range uint64(3) {
		require.Nil(t, block(s, abi.OpEnter, n+1).Fault)
		s.Query("SELECT 1")
	}
	r := block(s, abi.OpLeave, 2)
	requireKind(t, r, wire.KindInterface)
	require.Contains(t, r.Fault.Message, "file.py:7")
	require.Equal(t, "rolled_back", s.State())
	requireKind(t, s.Try("SELECT 1"), wire.KindInterface)
	requireKind(t, block(s, abi.OpLeave, 3), wire.KindInterface)
	requireKind(t, s.Try("SELECT 1"), wire.KindInterface)
	require.Nil(t, block(s, abi.OpUndo, 1).Fault)
	requireUsable(t, s)
}

func TestNothingRunsInABlockWhoseBeginFailed(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Block = 1
	require.Nil(t, s.Run(abi.OpEnter, "file.py:7\nBEGIN NONSENSE").Fault)
	require.NotNil(t, s.Try("SELECT 1").Fault)
	require.False(t, s.InTransaction())
	requireKind(t, s.Try("SELECT 1"), wire.KindInterface)
	requireKind(t, block(s, abi.OpLeave, 1), wire.KindInterface)
	requireUsable(t, s)
}

func TestABlockThatNobodyEnteredLeavesNothing(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	require.Nil(t, block(s, abi.OpEnter, 1).Fault)
	require.Nil(t, block(s, abi.OpEnter, 2).Fault)
	s.Core.Set(abi.SetNotEntered, 1)
	require.NotZero(t, s.Core.Set(abi.SetFindBlock, 1)&abi.FlagBlock, "another block lies within it")
	s.Core.Set(abi.SetNotEntered, 2)
	require.Zero(t, s.Core.Set(abi.SetFindBlock, 2)&abi.FlagBlock)
	s.Core.Set(abi.SetNotEntered, 1)
	require.False(t, s.InTransaction())
	s.Finalize()
}

func TestABlockWhoseConnectionIsLostDuringItsRollbackIsOver(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	require.Nil(t, block(s, abi.OpEnter, 1).Fault)
	s.Query("SELECT 1")
	s.Hook = at(beforeIO, 0, pgtest.HangUp)
	requireKind(t, block(s, abi.OpUndo, 1), wire.KindConnectionLost)
	s.Hook = nil
	requireUsable(t, s)
}

func TestTheEndOfARequestEndsOpenBlocks(t *testing.T) {
	t.Parallel()
	for _, op := range []abi.Op{abi.OpCommit, abi.OpRollback} {
		db, d := begin(t, nil)
		db.Query("CREATE TABLE t (n int)")
		s := d.Open("r", mainAlias)
		require.Nil(t, block(s, abi.OpEnter, 1).Fault)
		s.Execute("INSERT INTO t VALUES (1)")
		requireKind(t, s.Run(op, ""), wire.KindInterface)
		require.True(t, s.InTransaction(), "a user's own is refused")
		r := s.RunFlagged(op, abi.InRequest)
		require.Equal(t, op == abi.OpCommit, r.Fault != nil)
		require.False(t, s.InTransaction())
		require.Equal(t, "0", db.Value("SELECT count(*) FROM t"))
		requireKind(t, s.Run(abi.OpFinalize, ""), wire.KindInterface)
	}
}
