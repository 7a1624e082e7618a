package connection

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hypern/go/process"
	"hypern/go/sqltext"
)

func fill(s *Statements, from, to int) {
	for i := from; i < to; i++ {
		s.Put(&Statement{SQL: fmt.Sprint("select ", i), Name: s.NewName()})
	}
}

func TestAStatementIsFoundUntilItIsForgotten(t *testing.T) {
	s := newStatements(0)
	if s.Get("select 1", nil) != nil || s.TakeDropped() != nil {
		t.Fatal("a new cache is empty")
	}
	fill(s, 0, 3)
	st := s.Get("select 1", nil)
	if st == nil || st.Name != "hypern_2" {
		t.Fatalf("%+v", st)
	}
	s.Forget(st)
	s.Forget(st) // twice is once
	if s.Get("select 1", nil) != nil || !slices.Equal(s.TakeDropped(), []string{"hypern_2"}) || s.TakeDropped() != nil {
		t.Error("a forgotten statement is dropped on the server once")
	}
	if s.Get("select 0", nil) == nil || s.Get("select 2", nil) == nil {
		t.Error("its neighbours are still there")
	}
}

func TestTheNewestStatementIsFoundAsAnyOther(t *testing.T) {
	s := newStatements(0)
	if s.Get("", nil) != nil {
		t.Fatal("the end of the list is no statement")
	}
	fill(s, 0, 2)
	for _, sql := range []string{"select 1", "select 1", "select 0", "select 0", "select 1"} {
		if st := s.Get(sql, nil); st == nil || st.SQL != sql || s.root.older != st {
			t.Fatalf("%s: %+v", sql, st)
		}
	}
	s.Forget(s.Get("select 1", nil))
	if s.Get("select 1", nil) != nil || s.Get("select 0", nil) == nil {
		t.Error("the newest was forgotten, and no other")
	}
	s.Clear()
	if s.Get("select 0", nil) != nil {
		t.Error("all are forgotten")
	}
}

func TestTheLeastRecentlyUsedStatementIsEvicted(t *testing.T) {
	s := newStatements(0)
	fill(s, 0, statementCacheSize)
	s.Get("select 0", nil)
	fill(s, statementCacheSize, statementCacheSize+2)
	if s.Get("select 0", nil) == nil {
		t.Error("it was used just now")
	}
	if s.Get("select 1", nil) != nil || s.Get("select 2", nil) != nil {
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
	s := newStatements(0)
	fill(s, 0, 2)
	fill(s, 0, 1)
	if got := s.Get("select 0", nil); got.Name != "hypern_3" {
		t.Errorf("%+v", got)
	}
	if got := s.TakeDropped(); !slices.Equal(got, []string{"hypern_1"}) {
		t.Errorf("dropped %v", got)
	}
}

func TestForgettingAReplacedStatementLeavesItsSuccessor(t *testing.T) {
	s := newStatements(0)
	fill(s, 0, 1)
	old := s.Get("select 0", nil)
	fill(s, 0, 1)
	s.Forget(old)
	if s.Get("select 0", nil) == nil {
		t.Error("the successor is gone")
	}
}

func TestAStatementWithoutANameIsNotClosedOnTheServer(t *testing.T) {
	s := newStatements(0)
	st := &Statement{SQL: "select 1"}
	s.Put(st)
	s.Forget(st)
	if got := s.TakeDropped(); got != nil {
		t.Errorf("dropped %v", got)
	}
}

func TestClearForgetsAllAndNeverUsesANameAgain(t *testing.T) {
	s := newStatements(0)
	fill(s, 0, 3)
	s.Forget(s.Get("select 2", nil))
	s.Clear()
	if s.Get("select 0", nil) != nil || len(s.TakeDropped()) != 0 {
		t.Error("something is left")
	}
	fill(s, 0, statementCacheSize+1)
	if got := s.TakeDropped(); !slices.Equal(got, []string{"hypern_4"}) {
		t.Errorf("dropped %v", got)
	}
}

func TestPlansAreNumberedBySQLDeclaredTypesAndDescription(t *testing.T) {
	c := &Conn{dialer: &Dialer{}}
	number := func(sql, description string, declared ...uint32) uint64 {
		st := &Statement{SQL: sql, Declared: declared, Description: []byte(description)}
		c.SetPlan(st, 0)
		return st.Plan
	}
	a := number("select 1", "int")
	if a == 0 || number("select 1", "int") != a {
		t.Error("equal descriptions have equal numbers, and none is 0")
	}
	if number("select 1", "text") == a || number("select 2", "int") == a || number("select 1", "int", 23) == a {
		t.Error("different ones have different numbers")
	}
}

func TestPlansAreBoundedByBytesAndForgottenByClose(t *testing.T) {
	d := &Dialer{}
	c, p := &Conn{dialer: d}, &d.plans
	number := func(sql string) uint64 {
		st := &Statement{SQL: sql}
		c.SetPlan(st, 0)
		return st.Plan
	}
	text := strings.Repeat("x", 10_000)
	first := number("select 1")
	last := uint64(0)
	for i := range 12_000 {
		last = number(fmt.Sprint(i, text))
	}
	held := 0
	for key := range p.ids {
		held += len(key.sql) + len(key.description)
	}
	if held > plansBytes || held < plansBytes/2 || p.bytes < held || len(p.order) != len(p.ids) {
		t.Errorf("%d bytes in %d entries, %d counted", held, len(p.ids), p.bytes)
	}
	if number(fmt.Sprint(11_999, text)) != last {
		t.Error("the newest has kept its number")
	}
	if number("select 1") == first {
		t.Error("an old number has come back")
	}
	long := strings.Repeat("x", planBytes+1)
	if a := number(long); a == 0 || number(long) == a {
		t.Error("a long text is not kept")
	}
	p.clear()
	if number(fmt.Sprint(11_999, text)) == last || len(p.ids) != 1 {
		t.Error("a closed pool still knows a text")
	}
}

func TestAConnectionsStatementsAreBoundedByBytes(t *testing.T) {
	s := newStatements(0)
	put := func(i, length int) *Statement {
		st := &Statement{SQL: fmt.Sprint(i, strings.Repeat("x", length)), Name: s.NewName(), Description: []byte("d")}
		s.Put(st)
		return st
	}
	for i := range 200 {
		put(i, 100_000)
	}
	if n := len(s.bySQL); s.bytes > statementCacheBytes || n != statementCacheBytes/100_000 || len(s.TakeDropped()) != 200-n {
		t.Errorf("%d bytes in %d statements", s.bytes, n)
	}
	huge := put(200, statementCacheBytes)
	if s.Get(huge.SQL, nil) != huge || len(s.bySQL) != 1 {
		t.Error("the newest is kept, alone if it is too long")
	}
	s.TakeDropped()
	if put(201, 1); s.Get(huge.SQL, nil) != nil || !slices.Equal(s.TakeDropped(), []string{huge.Name}) {
		t.Error("it goes with the next one")
	}
	s.Clear()
	if s.bytes != 0 {
		t.Errorf("%d bytes of nothing", s.bytes)
	}
}

func TestColumnsAreTheSecondPartOfADescription(t *testing.T) {
	st := &Statement{OIDs: []uint32{23}, Description: []byte("\x06\x00\x00\x00\x00\x01\x00\x00\x00\x17\x03\x00\x00\x00abc")}
	if got := string(st.Columns()); got != "abc" {
		t.Errorf("%q", got)
	}
}

func TestAStatementIsFoundOnlyInTheEnvironmentItWasParsedIn(t *testing.T) {
	s := newStatements(0)
	set := &Statement{SQL: "SET search_path TO a", Description: make([]byte, 10), Effect: sqltext.Examine("SET search_path TO a", nil)}
	parse := func(name string) {
		st := &Statement{SQL: "select 1", Name: name, Plan: 1}
		s.Parsing(st, 1)
		s.Put(st)
	}
	found := func() string {
		if st := s.Get("select 1", nil); st != nil {
			return st.Name
		}
		return ""
	}
	parse("base")
	s.completed("SET", set)
	if found() != "" {
		t.Fatal("it was parsed under other settings")
	}
	parse("a")
	s.reset(0)
	if found() != "base" {
		t.Fatal("a reset brings back what was parsed before")
	}
	s.completed("SET", set)
	if found() != "a" {
		t.Fatal("settings that have a name are recognised")
	}
	s.completed("CREATE TABLE", set)
	if found() != "" || !slices.Equal(s.TakeDropped(), []string{"a"}) {
		t.Fatal("the schema has changed since")
	}
	s.reset(0)
	if found() != "" || s.count != 0 || len(s.rooms) != 1 {
		t.Fatalf("nothing is left: %d, %v", s.count, s.rooms)
	}
}

func TestStatementsAreKeptByDeclaredTypes(t *testing.T) {
	s := newStatements(0)
	put := func(name string, declared ...uint32) {
		st := &Statement{SQL: "select $1", Name: name, Declared: declared, Plan: 1}
		s.Parsing(st, 1)
		s.Put(st)
	}
	put("none")
	for i := range variantsMax {
		put(fmt.Sprint("v", i), uint32(i))
	}
	if got := s.TakeDropped(); !slices.Equal(got, []string{"none"}) {
		t.Errorf("dropped %v: a text has at most %d variants", got, variantsMax)
	}
	for i := range variantsMax {
		if st := s.Get("select $1", []uint32{uint32(i)}); st == nil || st.Name != fmt.Sprint("v", i) {
			t.Errorf("%d: %+v", i, st)
		}
	}
	put("again", 3)
	if st := s.Get("select $1", []uint32{3}); st == nil || st.Name != "again" || s.count != variantsMax {
		t.Errorf("%+v of %d", st, s.count)
	}
}

func TestAStatementExpires(t *testing.T) {
	s := newStatements(time.Second)
	st := &Statement{SQL: "select 1"}
	s.Parsing(st, 1)
	if s.Expired(st, 1, false) || !s.Expired(st, process.Moment(1).Add(time.Second), false) {
		t.Error("it expires after a second")
	}
	if s.maxAge = 0; s.Expired(st, process.Moment(1).Add(time.Hour), false) {
		t.Error("without a limit it does not expire")
	}
	if own := (&Statement{SQL: "BEGIN"}); s.Expired(own, process.Moment(1).Add(time.Hour), false) {
		t.Error("a command of the core's own does not expire")
	}
}
