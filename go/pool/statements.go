package pool

import "strconv"

// statementCacheSize is the number of statements a connection keeps prepared.
const statementCacheSize = 256

// Statement is one SQL text as one connection knows it: descriptions differ between connections
// (search_path and role change them), so it is never shared.
type Statement struct {
	SQL  string
	Name string   // "" when it is not kept on the server
	OIDs []uint32 // types of the parameters
	// Plan identifies the description within the pool: equal descriptions have equal numbers.
	Plan        uint64
	Description []byte // as WANT_ENCODE carries it, without the time zone

	newer, older *Statement
}

// Columns is the body of the RowDescription in the description; empty when there are no columns.
func (st *Statement) Columns() []byte {
	lengths := 2 * 4 // of the two parts
	return st.Description[lengths+2+4*len(st.OIDs):]
}

// Statements is a connection's cache, least recently used out first. The connection's holder owns it.
type Statements struct {
	// Undo runs what resets the connection, by statements that are prepared and never evicted; nil
	// before they are.
	Undo []byte

	bySQL  map[string]*Statement
	root   Statement // root.older is the newest, root.newer the oldest
	prefix string    // of the names
	next   int
	drop   []string // names evicted, to be closed on the server with the next write
}

func newStatements() *Statements {
	s := &Statements{bySQL: make(map[string]*Statement), prefix: "hypern_"}
	s.root.newer, s.root.older = &s.root, &s.root
	return s
}

// Get returns the statement for sql, or nil. sql may be a view of memory that is not Go's. The newest,
// which a step asks for more than once, is found without the map.
func (s *Statements) Get(sql string) *Statement {
	if newest := s.root.older; newest != &s.root && newest.SQL == sql {
		return newest
	}
	st := s.bySQL[sql]
	if st != nil && s.root.older != st {
		s.unlink(st)
		s.link(st)
	}
	return st
}

// NewName is a name no statement of this connection has had.
func (s *Statements) NewName() string {
	s.next++
	return s.prefix + strconv.Itoa(s.next)
}

// Put keeps st, and evicts the oldest beyond the cache's size.
func (s *Statements) Put(st *Statement) {
	if old := s.bySQL[st.SQL]; old != nil {
		s.Forget(old)
	}
	s.bySQL[st.SQL] = st
	s.link(st)
	if len(s.bySQL) > statementCacheSize {
		s.Forget(s.root.newer)
	}
}

// Forget drops st from the cache; the server is told with the next write.
func (s *Statements) Forget(st *Statement) {
	if s.bySQL[st.SQL] != st {
		return
	}
	delete(s.bySQL, st.SQL)
	s.unlink(st)
	if st.Name != "" {
		s.drop = append(s.drop, st.Name)
	}
}

// Clear forgets everything: the server has dropped all prepared statements.
func (s *Statements) Clear() {
	s.Undo = nil
	clear(s.bySQL)
	s.root.newer, s.root.older = &s.root, &s.root
	s.drop = s.drop[:0]
}

// TakeDropped returns the names to close on the server and forgets them.
func (s *Statements) TakeDropped() []string {
	if len(s.drop) == 0 {
		return nil
	}
	names := s.drop
	s.drop = nil
	return names
}

func (s *Statements) link(st *Statement) {
	st.newer, st.older = &s.root, s.root.older
	s.root.older.newer = st
	s.root.older = st
}

func (s *Statements) unlink(st *Statement) {
	st.newer.older, st.older.newer = st.older, st.newer
	st.newer, st.older = nil, nil
}
