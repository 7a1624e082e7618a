package connection

import "testing"

// The levels that two sessions have open in the tests below: transactions 1 and 3, savepoint 2 of the first.
func overlapping() Levels {
	l := Levels{{}}
	for _, at := range [][2]uint64{{1, 1}, {2, 1}, {3, 3}} {
		_, l = l.Push(at[0], at[1])
	}
	return l
}

func TestALevelIsReleasedOnlyWhereNoOtherSessionsIsInside(t *testing.T) {
	l := overlapping()
	sql, l := l.Release(1)
	if sql != "" || l.Has(9) || !l.Has(3) || !l.Shared() {
		t.Fatalf("%q, %v", sql, l)
	}
	sql, l = l.Release(3)
	if sql != `RELEASE "hypern nested 1"` || len(l) != 1 || l.Shared() {
		t.Fatalf("%q, %v: the levels that were left alone go with the last one", sql, l)
	}
}

func TestARollbackEndsWhatHasBegunSince(t *testing.T) {
	l := overlapping()
	sql, back := l.Back(2)
	if sql != `ROLLBACK TO "hypern nested 2"` || back.Has(3) || !back.Has(2) || !back.Has(1) {
		t.Fatalf("%q, %v", sql, back)
	}
	sql, dropped := l.Drop(1)
	if sql != `ROLLBACK TO "hypern nested 1";RELEASE "hypern nested 1"` || len(dropped) != 1 {
		t.Fatalf("%q, %v", sql, dropped)
	}
	if !l.Has(3) || len(l) != 4 {
		t.Fatalf("%v: what is open changes only once the server has answered", l)
	}
}

func TestALevelThatIsGoneIsLeftAlone(t *testing.T) {
	for _, end := range []func(Levels, uint64) (string, Levels){Levels.Release, Levels.Back, Levels.Drop} {
		for _, number := range []uint64{0, 7} {
			if sql, l := end(overlapping(), number); sql != "" || len(l) != 4 {
				t.Fatalf("%q, %v", sql, l)
			}
		}
	}
}

func TestAConnectionComesToRestWhateverWasUnderWay(t *testing.T) {
	c := &Conn{tx: 'I'}
	for _, step := range []struct {
		tx      byte
		guarded bool
		want    []string
	}{
		{'I', false, []string{"BEGIN", `SAVEPOINT "hypern nested 0"`}},
		{'T', false, nil},
		{'T', true, []string{ReleaseGuard}},
		{'E', true, []string{UndoToGuard, ReleaseGuard}},
		{'E', false, []string{`ROLLBACK TO "hypern nested 0"`}},
	} {
		c.tx, c.nest.Guarded = step.tx, step.guarded
		got := c.Rest()
		if len(got) != len(step.want) || c.nest.Guarded {
			t.Fatalf("%q, and not %q", got, step.want)
		}
		for i := range got {
			if got[i] != step.want[i] {
				t.Fatalf("%q, and not %q", got, step.want)
			}
		}
	}
}
