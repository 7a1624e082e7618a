package session

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"hypern/go/listen"
	"hypern/go/pool"
	"hypern/go/wire"
)

type key struct{ request, alias string }

// Registry knows the pools by alias, and the open sessions. Which session a request means is C's to
// know.
type Registry struct {
	mu       sync.Mutex // guards all below; a Session's mu is never taken under it
	pools    map[string]*pool.Pool
	sessions []*Session // in no order; each knows its place
	options  optionsCache

	attendant pool.Attendant
	listeners *listen.Hub
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{pools: make(map[string]*pool.Pool), listeners: listen.NewHub()}
}

// Configure makes a pool from settings. An alias that is known keeps the pool it has.
func (r *Registry) Configure(settings []byte) *wire.Fault {
	config, fault := pool.ParseConfig(settings)
	if fault != nil {
		return fault
	}
	p, fault := pool.New(config, &r.attendant)
	if fault != nil {
		return fault
	}
	if config.Nested != 0 && config.Nested != os.Getpid() {
		return interfaceFault("the sessions of the test share one connection, which belongs to process %d: "+
			"a forked child cannot use it; mark the test with hypern_commits", config.Nested)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.pools {
		if config.Nested != 0 && other.Config().Nested == config.Nested {
			p = other
		}
	}
	if r.pools[config.Alias] == nil {
		r.pools[config.Alias] = p
	}
	return nil
}

// Attendant passes what only Python can do for a dial to its thread.
func (r *Registry) Attendant() *pool.Attendant { return &r.attendant }

// Listeners is the hub of the connections that listen.
func (r *Registry) Listeners() *listen.Hub { return r.listeners }

// Texts are those of the statements that an on_connect function has run, by the request id of its session.
func (r *Registry) Texts(request string) []string {
	r.mu.Lock()
	var found *Session
	for _, s := range r.sessions {
		if s.newcomer && s.key.request == request {
			found = s
		}
	}
	r.mu.Unlock()
	if found == nil {
		return []string{}
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	return append([]string{}, found.texts...)
}

// Pool is the pool of an alias, or nil.
func (r *Registry) Pool(alias string) *pool.Pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[alias]
}

// Open makes a session of a request and alias. options: those of its scope, as hypern_open has them. reads: it only
// reads, on a replica if there is one, which must have replayed wanted. The strings may be views.
func (r *Registry) Open(request, alias, options string, reads bool, wanted string) (*Session, *wire.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pools[alias]
	if p == nil {
		return nil, &wire.Fault{Kind: wire.KindConfiguration, Message: fmt.Sprintf("no database is configured for alias %q", alias)}
	}
	s := &Session{registry: r, root: p, pool: p, scope: r.options.get(options, p.Config()), autoCommit: true, place: len(r.sessions)}
	if reads {
		if fault := s.routeReads(wanted); fault != nil {
			return nil, fault
		}
	}
	name := p.Config().Alias
	if s.newcomer = pool.NewcomerID(request); s.newcomer {
		s.pool = p.PoolOf(request)
	}
	if s.nested = p.Config().Nested != 0 && !s.newcomer; s.nested { // such a pool has several aliases
		name = strings.Clone(alias)
	}
	s.key = key{strings.Clone(request), name}
	r.sessions = append(r.sessions, s)
	return s, nil
}

func (r *Registry) remove(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.place < 0 {
		return
	}
	end := len(r.sessions) - 1
	last := r.sessions[end]
	r.sessions[s.place], last.place = last, s.place
	r.sessions[end] = nil
	r.sessions = r.sessions[:end]
	s.place = -1
}

// Close closes the pool of an alias and forgets it. done is called when nothing is left to wait for;
// it returns false, and done is not called, when there is no such pool.
func (r *Registry) Close(alias string, done func()) bool {
	r.mu.Lock()
	p := r.pools[alias]
	delete(r.pools, alias)
	var orphans []*Session
	for _, s := range r.sessions {
		if s.root == p {
			orphans = append(orphans, s)
		}
	}
	r.mu.Unlock()
	if p == nil {
		return false
	}
	p.Close(func() {
		for _, s := range orphans {
			s.orphan()
		}
		r.listeners.End(p.Config().Alias, done)
	})
	return true
}

// orphan releases the connection of a session whose pool was closed, unless an operation still has
// it: then the operation releases it when its I/O ends.
func (s *Session) orphan() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.op.phase == phaseNone && s.conn != nil {
		_ = s.lose("its pool was closed", false) // the next use is told
		s.told = false
	}
}

// Left is a session that nobody finalized.
type Left struct {
	RequestID string  `json:"request_id"`
	Alias     string  `json:"alias"`
	AgeSecs   float64 `json:"age_secs"`
}

// Left lists the open sessions that hold a connection.
func (r *Registry) Left() []Left {
	r.mu.Lock()
	all := slices.Clone(r.sessions)
	r.mu.Unlock()
	left := []Left{}
	for _, s := range all {
		s.mu.Lock()
		if s.conn != nil {
			left = append(left, Left{s.key.request, s.key.alias, s.conn.Held().Seconds()})
		}
		s.mu.Unlock()
	}
	return left
}

// Count is the number of open sessions, for the core's own counters.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}
