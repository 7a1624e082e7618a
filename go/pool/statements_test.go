package pool

import (
	"fmt"
	"slices"
	"testing"
)

func fill(s *Statements, from, to int) {
	for i := from; i < to; i++ {
		s.Put(&Statement{SQL: fmt.Sprint("select ", i), Name: s.NewName()})
	}
}

func TestAStatementIsFoundUntilItIsForgotten(t *testing.T) {
	s := newStatements()
	if s.Get("select 1") != nil || s.TakeDropped() != nil {
		t.Fatal("a new cache is empty")
	}
	fill(s, 0, 3)
	st := s.Get("select 1")
	if st == nil || st.Name != "hypern_2" {
		t.Fatalf("%+v", st)
	}
	s.Forget(st)
	s.Forget(st) // twice is once
	if s.Get("select 1") != nil || !slices.Equal(s.TakeDropped(), []string{"hypern_2"}) || s.TakeDropped() != nil {
		t.Error("a forgotten statement is dropped on the server once")
	}
	if s.Get("select 0") == nil || s.Get("select 2") == nil {
		t.Error("its neighbours are still there")
	}
}

func TestTheNewestStatementIsFoundAsAnyOther(t *testing.T) {
	s := newStatements()
	if s.Get("") != nil {
		t.Fatal("the end of the list is no statement")
	}
	fill(s, 0, 2)
	for _, sql := range []string{"select 1", "select 1", "select 0", "select 0", "select 1"} {
		if st := s.Get(sql); st == nil || st.SQL != sql || s.root.older != st {
			t.Fatalf("%s: %+v", sql, st)
		}
	}
	s.Forget(s.Get("select 1"))
	if s.Get("select 1") != nil || s.Get("select 0") == nil {
		t.Error("the newest was forgotten, and no other")
	}
	s.Clear()
	if s.Get("select 0") != nil {
		t.Error("all are forgotten")
	}
}

func TestTheLeastRecentlyUsedStatementIsEvicted(t *testing.T) {
	s := newStatements()
	fill(s, 0, statementCacheSize)
	s.Get("select 0")
	fill(s, statementCacheSize, statementCacheSize+2)
	if s.Get("select 0") == nil {
		t.Error("it was used just now")
	}
	if s.Get("select 1") != nil || s.Get("select 2") != nil {
		t.Error("the two oldest go")
	}
	if got := s.TakeDropped(); !slices.Equal(got, []string{"hypern_2", "hypern_3"}) {
		t.Errorf("dropped %v", got)
	}
	if len(s.bySQL) != statementCacheSize {
		t.Errorf("%d statements", len(s.bySQL))
	}
}

func TestPuttingAStatementAgainReplacesIt(t *testing.T) {
	s := newStatements()
	fill(s, 0, 2)
	fill(s, 0, 1)
	if got := s.Get("select 0"); got.Name != "hypern_3" {
		t.Errorf("%+v", got)
	}
	if got := s.TakeDropped(); !slices.Equal(got, []string{"hypern_1"}) {
		t.Errorf("dropped %v", got)
	}
}

func TestForgettingAReplacedStatementLeavesItsSuccessor(t *testing.T) {
	s := newStatements()
	fill(s, 0, 1)
	old := s.Get("select 0")
	fill(s, 0, 1)
	s.Forget(old)
	if s.Get("select 0") == nil {
		t.Error("the successor is gone")
	}
}

func TestAStatementWithoutANameIsNotClosedOnTheServer(t *testing.T) {
	s := newStatements()
	st := &Statement{SQL: "select 1"}
	s.Put(st)
	s.Forget(st)
	if got := s.TakeDropped(); got != nil {
		t.Errorf("dropped %v", got)
	}
}

func TestClearForgetsAllAndNeverUsesANameAgain(t *testing.T) {
	s := newStatements()
	fill(s, 0, 3)
	s.Forget(s.Get("select 2"))
	s.Clear()
	if s.Get("select 0") != nil || len(s.TakeDropped()) != 0 {
		t.Error("something is left")
	}
	fill(s, 0, statementCacheSize+1)
	if got := s.TakeDropped(); !slices.Equal(got, []string{"hypern_4"}) {
		t.Errorf("dropped %v", got)
	}
}

func TestPlansAreNumberedBySQLAndDescription(t *testing.T) {
	p := &Pool{}
	a := p.PlanID("select 1", []byte("int"))
	if a == 0 || p.PlanID("select 1", []byte("int")) != a {
		t.Error("equal descriptions have equal numbers, and none is 0")
	}
	if p.PlanID("select 1", []byte("text")) == a || p.PlanID("select 2", []byte("int")) == a {
		t.Error("different ones have different numbers")
	}
	for i := range plansMax {
		p.PlanID(fmt.Sprint(i), nil)
	}
	if p.PlanID("select 1", []byte("int")) == a {
		t.Error("an old number has come back")
	}
}

func TestColumnsAreTheSecondPartOfADescription(t *testing.T) {
	st := &Statement{OIDs: []uint32{23}, Description: []byte("\x06\x00\x00\x00\x00\x01\x00\x00\x00\x17\x03\x00\x00\x00abc")}
	if got := string(st.Columns()); got != "abc" {
		t.Errorf("%q", got)
	}
}
