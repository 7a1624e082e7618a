package session

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hypern/go/pool"
	"hypern/go/wire"
)

type key struct{ request, alias string }

// Registry knows the pools by alias and the open sessions by request and alias.
type Registry struct {
	// Number gives a new session its handle, Keep adds a reference for a caller of Open, Forget takes
	// the registry's own back. The bridge's; called under mu, so that no handle goes in between.
	Number func(*Session) int64
	Keep   func(handle int64)
	Forget func(handle int64)

	mu       sync.Mutex // guards all below; a Session's mu is never taken under it
	pools    map[string]*pool.Pool
	requests map[string][]*Session
}

// NewRegistry makes an empty registry.
func NewRegistry(number func(*Session) int64, keep, forget func(int64)) *Registry {
	return &Registry{Number: number, Keep: keep, Forget: forget,
		pools: make(map[string]*pool.Pool), requests: make(map[string][]*Session)}
}

// Configure makes a pool from settings. An alias that is known keeps the pool it has.
func (r *Registry) Configure(settings []byte) *wire.Fault {
	config, fault := pool.ParseConfig(settings)
	if fault != nil {
		return fault
	}
	p, fault := pool.New(config)
	if fault != nil {
		return fault
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pools[config.Alias] == nil {
		r.pools[config.Alias] = p
	}
	return nil
}

// Pool is the pool of an alias, or nil.
func (r *Registry) Pool(alias string) *pool.Pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[alias]
}

// Open returns the session of a request and alias, opening it if need be. The strings may be views.
func (r *Registry) Open(request, alias string) (*Session, *wire.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.requests[request]
	for _, s := range list {
		if s.key.alias == alias {
			r.Keep(s.Handle)
			return s, nil
		}
	}
	p := r.pools[alias]
	if p == nil {
		return nil, &wire.Fault{Kind: wire.KindConfiguration, Message: fmt.Sprintf("no database is configured for alias %q", alias)}
	}
	s := &Session{registry: r, pool: p, autoCommit: true}
	s.key = key{strings.Clone(request), p.Config().Alias}
	if len(list) > 0 {
		s.key.request = list[0].key.request
	}
	s.Handle = r.Number(s)
	r.Keep(s.Handle)
	r.requests[s.key.request] = append(list, s)
	return s, nil
}

// Find returns the open sessions of a request: of one alias, or of all.
func (r *Registry) Find(request string, alias *string) []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*Session
	for _, s := range r.requests[request] {
		if alias == nil || s.key.alias == *alias {
			found = append(found, s)
		}
	}
	return found
}

func (r *Registry) remove(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.requests[s.key.request]
	i := slices.Index(list, s)
	if i < 0 {
		return
	}
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(r.requests, s.key.request)
	} else {
		r.requests[s.key.request] = list
	}
	r.Forget(s.Handle)
}

// Close closes the pool of an alias and forgets it. done is called when nothing is left to wait for;
// it returns false, and done is not called, when there is no such pool.
func (r *Registry) Close(alias string, done func()) bool {
	r.mu.Lock()
	p := r.pools[alias]
	delete(r.pools, alias)
	var orphans []*Session
	for _, list := range r.requests {
		for _, s := range list {
			if s.pool == p {
				orphans = append(orphans, s)
			}
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
		done()
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
	now := time.Now()
	r.mu.Lock()
	var all []*Session
	for _, list := range r.requests {
		all = append(all, list...)
	}
	r.mu.Unlock()
	left := []Left{}
	for _, s := range all {
		s.mu.Lock()
		if s.conn != nil {
			left = append(left, Left{s.key.request, s.key.alias, now.Sub(s.since).Seconds()})
		}
		s.mu.Unlock()
	}
	return left
}

// Count is the number of open sessions, for the core's own counters.
func (r *Registry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, list := range r.requests {
		n += len(list)
	}
	return n
}
