package tests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/wire"
)

func TestASessionGoesThroughEveryWordOfTheSpecification(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	require.Equal(t, "idle", s.State())
	s.Query("SELECT 1")
	require.Equal(t, "connected", s.State())
	s.Begin()
	require.Equal(t, "in_transaction", s.State())
	s.Query("SELECT 1")
	require.Equal(t, "in_transaction", s.State())
	s.Commit()
	require.Equal(t, "committed", s.State())
	s.Query("SELECT 1")
	require.Equal(t, "committed", s.State(), "the last verdict stays until the next transaction")
	s.Begin()
	require.Equal(t, "in_transaction", s.State())
	s.Query("SELECT 1")
	s.Rollback()
	require.Equal(t, "rolled_back", s.State())
	s.Finalize()
	require.Equal(t, "closed", s.State())
}

func TestEveryAnswerCarriesTheStateThatTheSessionReports(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	for _, step := range []struct {
		op  abi.Op
		sql string
	}{
		{abi.OpStatement, "SELECT 1"}, {abi.OpBegin, "BEGIN"}, {abi.OpStatement, "SELECT 1/0"},
		{abi.OpRollback, ""}, {abi.OpStatement, "BEGIN"}, {abi.OpCommit, ""}, {abi.OpFinalize, ""},
	} {
		r := s.Run(step.op, step.sql)
		require.Equal(t, s.Core.State(), r.State, "after %q", step.sql)
	}
}

func TestAFinalizedSessionRefusesEveryOperationButToBeFinalized(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	s.Query("SELECT 1")
	s.Finalize()
	for _, op := range []abi.Op{abi.OpStatement, abi.OpMany, abi.OpBegin, abi.OpCommit, abi.OpRollback,
		abi.OpSavepoint, abi.OpRelease, abi.OpRollbackTo} {
		r := s.Run(op, "SELECT 1")
		requireKind(t, r, wire.KindSessionClosed)
		require.Contains(t, r.Fault.Message, `"r"`)
	}
	require.Negative(t, s.Must(abi.OpFinalize, "").Count, "somebody was first")
}

func TestASessionOfTheSameIdAfterFinalizeIsAFreshOne(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	first := d.Open("r", mainAlias)
	first.Core.Set(abi.SetError, 1)
	first.Finalize()
	second := d.Open("r", mainAlias)
	require.Equal(t, uint32(abi.StateIdle)|abi.FlagAutoCommit, second.Core.State())
	requireUsable(t, second)
}

func TestFlagsAreSetAndAnswered(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	core := d.Open("r", mainAlias).Core
	require.Equal(t, uint32(abi.StateIdle), core.Set(abi.SetAutoCommit, 0))
	require.Equal(t, uint32(abi.StateIdle)|abi.FlagAutoCommit, core.Set(abi.SetAutoCommit, 1))
	require.Equal(t, uint32(abi.StateIdle)|abi.FlagAutoCommit|abi.FlagError, core.Set(abi.SetError, 1))
	require.Equal(t, uint32(abi.StateIdle)|abi.FlagAutoCommit|abi.FlagError, core.Set(abi.SetError, 0),
		"an error once marked stays")
	require.Equal(t, core.State(), core.Set(abi.SetNothing, 1))
}

func TestASecondOperationWhileOneIsUnderWayIsRefusedAndHarmsNothing(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	s := d.Open("r", mainAlias)
	other := d.Open("r", mainAlias)
	s.Query("SELECT 1")
	s.Hook = once(func() { requireKind(t, other.Try("SELECT 2"), wire.KindInterface) })
	require.Equal(t, "3", s.Value("SELECT 3"))
}

func TestSessionsOfSeveralAliasesShareARequestAndNothingElse(t *testing.T) {
	t.Parallel()
	one, d := begin(t, nil)
	two, _ := begin(t, nil)
	d.Configure("second", two.ConnInfo(), nil)
	a, b := d.Open("r", mainAlias), d.Open("r", "second")
	require.NotSame(t, a.Core, b.Core)
	require.Equal(t, one.Name, a.Value("SELECT current_database()"))
	require.Equal(t, two.Name, b.Value("SELECT current_database()"))

	require.Equal(t, 2, d.Registry.Count())
	a.Begin()
	require.False(t, b.InTransaction())
	a.Finalize()
	require.Equal(t, 1, d.Registry.Count())
	requireUsable(t, b)
	b.Finalize()
	require.Zero(t, d.Registry.Count())
}

func TestTheRegistryKnowsWhoIsLeftInWhateverOrderSessionsEnd(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	first, second, third := d.Open("first", mainAlias), d.Open("second", mainAlias), d.Open("third", mainAlias)
	first.Query("SELECT 1")
	second.Query("SELECT 1")
	third.Query("SELECT 1")
	first.Finalize()
	first.Finalize()
	var left []string
	for _, l := range d.Registry.Left() {
		left = append(left, l.RequestID)
	}
	require.ElementsMatch(t, []string{"second", "third"}, left)
	third.Finalize()
	second.Finalize()
	require.Zero(t, d.Registry.Count())
}

func TestAnUnknownAliasIsAnError(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	_, fault := d.Registry.Open("r", "nowhere", "", false, "")
	require.NotNil(t, fault)
	require.Equal(t, wire.KindConfiguration, fault.Kind)
	require.Contains(t, fault.Message, `"nowhere"`)
}

func TestSessionsNobodyFinalizedAreListed(t *testing.T) {
	t.Parallel()
	_, d := begin(t, nil)
	require.Empty(t, d.Registry.Left())
	idle := d.Open("idle", mainAlias)
	s := d.Open("forgotten", mainAlias)
	s.Query("SELECT 1")
	left := d.Registry.Left()
	require.Len(t, left, 1, "a session without a connection leaves nothing open")
	require.Equal(t, "forgotten", left[0].RequestID)
	require.Equal(t, mainAlias, left[0].Alias)
	s.Finalize()
	idle.Finalize()
	require.Empty(t, d.Registry.Left())
}
