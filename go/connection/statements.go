package connection

import (
	"slices"
	"strconv"
	"time"

	"hypern/go/process"
	"hypern/go/sqltext"
)

const (
	// statementCacheSize is the number of statements a connection keeps prepared.
	statementCacheSize = 256
	// statementCacheBytes bounds what their texts and descriptions take; the newest is always kept.
	statementCacheBytes = 2 << 20
	// variantsMax is how many of them may have the same text, parsed for different declared types.
	variantsMax = 8
)

// Statement is one SQL text as one connection knows it: descriptions differ between connections
// (search_path and role change them), so it is never shared.
type Statement struct {
	SQL      string
	Declared []uint32 // types declared for the parameters, 0 where the server infers; nil: all inferred
	Name     string   // "" when it is not kept on the server, and parsed each time
	OIDs     []uint32 // types of the parameters
	// Plan identifies the description within the pool: equal descriptions have equal numbers.
	Plan        uint64
	Description []byte // as WANT_ENCODE carries it, without the time zone
	// Effect is what the text shows about reuse.
	Effect sqltext.Effect

	parsed process.Moment // 0: a command of the core's own, which any settings and schema leave as it is
	place  place
	schema uint32

	// Catalog is what the server's types were known as when the statement was parsed: under another one
	// it is parsed anew, since the server keeps attributes by position.
	Catalog *Catalog
	// Shape is what has to be looked at when the statement runs; nil: nothing, or its types are not
	// known yet.
	Shape *Shape
	// asked is when the domains of its tables' columns were read; 0: never.
	asked process.Moment

	newer, older *Statement
	next         *Statement // of the same text and place, for other declared types
}

func (st *Statement) bytes() int { return len(st.SQL) + len(st.Description) }

// Columns is the body of the RowDescription in the description; empty when there are no columns.
func (st *Statement) Columns() []byte {
	lengths := 2 * 4 // of the two parts
	if start := lengths + 2 + 4*len(st.OIDs); start <= len(st.Description) {
		return st.Description[start:]
	}
	return nil
}

// Statements is a connection's cache, least recently used out first. The connection's holder owns it.
type Statements struct {
	resetCommands resetCommands
	kept          map[string]string // names of commands of the core's own, by their text (AppendKept)
	look          []byte            // finds prepared statements that SQL has made; nil before it is prepared

	expected *Statement // see Expect

	env     Environment
	comment string        // follows each text that is parsed
	noted   uint32        // its number; 0: there is none
	maxAge  time.Duration // how long a statement is reused after it was parsed; 0: no limit
	none    bool          // none is reused
	// bySQL has the statements of the present place: room's value for it.
	bySQL  map[string]*Statement
	at     place
	rooms  map[place]map[string]*Statement
	count  int
	bytes  int       // of all texts and descriptions
	root   Statement // root.older is the newest, root.newer the oldest
	prefix string    // of the names
	next   int
	drop   []string          // names evicted, to be closed on the server with the next write
	guards map[uint32]*guard // by the OID of a composite type
	accept string            // the name of the prepared AcceptSQL; "" where there is no guard
}

func newStatements(maxAge time.Duration) *Statements {
	s := &Statements{prefix: "hypern_", maxAge: maxAge, guards: make(map[uint32]*guard)}
	s.empty()
	return s
}

func (s *Statements) empty() {
	s.bySQL = make(map[string]*Statement)
	s.rooms = map[place]map[string]*Statement{s.at: s.bySQL}
	s.count, s.bytes = 0, 0
	s.root.newer, s.root.older = &s.root, &s.root
}

// Get returns the statement for sql, parsed for these declared types in the present environment, or
// nil. sql may be a view of memory that is not Go's. The newest, which a step looks up more than
// once, is found without the map.
func (s *Statements) Get(sql string, declared []uint32) *Statement {
	newest := s.root.older
	if newest == &s.root || newest.SQL != sql || newest.place != s.at || !slices.Equal(newest.Declared, declared) {
		newest = s.bySQL[sql]
		for newest != nil && !slices.Equal(newest.Declared, declared) {
			newest = newest.next
		}
		if newest == nil {
			return nil
		}
		if s.root.older != newest {
			s.unlink(newest)
			s.link(newest)
		}
	}
	if newest.parsed != 0 && newest.schema != s.env.schema {
		s.Forget(newest)
		return nil
	}
	return newest
}

// Expired reports whether st was parsed so long ago that another connection's change of the schema is to
// be looked for. named: the names of its types count, too.
func (s *Statements) Expired(st *Statement, now process.Moment, named bool) bool {
	if s.maxAge == 0 || st.parsed == 0 {
		return false
	}
	then := now.Add(-s.maxAge)
	return st.parsed <= then || st.asked != 0 && st.asked <= then ||
		named && st.Shape != nil && st.Shape.Foreign && !st.Catalog.NamedSince(then+1)
}

// Since is the moment since which what was read of the schema counts for a statement that has just been
// parsed.
func (s *Statements) Since(st *Statement) process.Moment {
	switch {
	case s.none:
		return st.parsed
	case s.maxAge == 0:
		return s.env.changed
	}
	return max(s.env.changed, st.parsed.Add(-s.maxAge))
}

// ParsedSince reports whether the statement was parsed at this moment or later.
func (st *Statement) ParsedSince(then process.Moment) bool { return st.parsed >= then }

// Parsing notes on a statement that is about to be parsed what it is parsed under.
func (s *Statements) Parsing(st *Statement, now process.Moment) {
	st.parsed, st.place, st.schema = now, s.at, s.env.schema
}

// NewName is a name no statement of this connection has had.
func (s *Statements) NewName() string {
	s.next++
	return s.prefix + strconv.Itoa(s.next)
}

// Put keeps st, which is complete, where it was parsed, and evicts the oldest beyond the cache's size.
func (s *Statements) Put(st *Statement) {
	if st.parsed == 0 {
		st.place = s.at
	}
	variants := 1
	for old := s.rooms[st.place][st.SQL]; old != nil; {
		next := old.next
		if slices.Equal(old.Declared, st.Declared) {
			s.Forget(old)
		} else if variants++; variants > variantsMax {
			s.Forget(old)
		}
		old = next
	}
	room := s.room(st.place)
	st.next = room[st.SQL]
	room[st.SQL] = st
	s.link(st)
	s.count++
	s.bytes += st.bytes()
	for s.count > 1 && (s.count > statementCacheSize || s.bytes > statementCacheBytes) {
		s.Forget(s.root.newer)
	}
}

// Has returns whether st is in the cache.
func (s *Statements) Has(st *Statement) bool { return st.newer != nil }

// Forget drops st from the cache, and from the server with the next write.
func (s *Statements) Forget(st *Statement) {
	if st.newer == nil {
		return // it is not in the cache
	}
	room := s.rooms[st.place]
	if head := room[st.SQL]; head != st {
		for head.next != st {
			head = head.next
		}
		head.next = st.next
	} else if st.next != nil {
		room[st.SQL] = st.next
	} else if delete(room, st.SQL); len(room) == 0 && st.place != s.at {
		delete(s.rooms, st.place)
	}
	st.next = nil
	s.bytes -= st.bytes()
	s.unlink(st)
	s.count--
	if st.Name != "" {
		s.drop = append(s.drop, st.Name)
	}
}

// ForgetText drops all statements of a text that the present environment has.
func (s *Statements) ForgetText(sql string) {
	for st := s.bySQL[sql]; st != nil; st = s.bySQL[sql] {
		s.Forget(st)
	}
}

// ForgetAll drops all statements from the cache, some of which the server may not have any more.
func (s *Statements) ForgetAll() {
	for s.root.older != &s.root {
		s.Forget(s.root.older)
	}
	for _, g := range s.guards {
		s.drop = append(s.drop, g.name)
	}
	clear(s.guards)
	for _, name := range s.kept {
		s.drop = append(s.drop, name)
	}
	clear(s.kept)
	if s.accept != "" {
		s.drop = append(s.drop, s.accept)
	}
	s.resetCommands.run, s.look, s.accept = nil, nil, ""
}

// Clear forgets everything: the server has dropped all prepared statements.
func (s *Statements) Clear() {
	s.resetCommands.run, s.look, s.accept = nil, nil, ""
	for st := s.root.older; st != &s.root; {
		older := st.older
		st.newer, st.older, st.next = nil, nil, nil
		st = older
	}
	s.empty()
	clear(s.guards)
	clear(s.kept)
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

// Ahead has statements looked up, and parsed, under settings that are to be sent ahead of the next one; nil: there
// are none. undone: behind a rollback of the open transaction.
func (s *Statements) Ahead(local *Statement, undone bool) {
	if local == nil {
		s.move()
		return
	}
	s.moveTo(s.env.ahead(local, undone))
}

// Expect notes what stands for the settings that are sent ahead of the next statement, until they are completed.
func (s *Statements) Expect(local *Statement) { s.expected = local }

// Events of the environment, each followed by a move to the statements of its place.

func (s *Statements) completed(word string, st *Statement) {
	s.env.Completed(word, st)
	s.move()
}

func (s *Statements) ready(status byte) {
	s.env.ready(status)
	s.move()
}

func (s *Statements) reported(name string) {
	s.env.reports(name)
	s.move()
}

func (s *Statements) rolledBack() {
	s.env.rolledBack()
	s.move()
}

// reset follows a reset of the connection. refused: the steps that it leaves out.
func (s *Statements) reset(refused uint32) {
	s.env.reset()
	if refused&environmentSteps != 0 {
		s.env.blur()
		s.env.reshape()
	}
	s.move()
}

// move makes the statements of the environment's place the ones that Get finds.
func (s *Statements) move() { s.moveTo(s.env.place) }

func (s *Statements) moveTo(at place) {
	at.comment = s.noted
	if s.at == at {
		return
	}
	if len(s.bySQL) == 0 {
		delete(s.rooms, s.at)
	}
	s.at = at
	s.bySQL = s.room(at)
}

// room has the statements of a place.
func (s *Statements) room(at place) map[string]*Statement {
	room := s.rooms[at]
	if room == nil {
		room = make(map[string]*Statement)
		s.rooms[at] = room
	}
	return room
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
