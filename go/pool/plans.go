package pool

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// plansMax bounds the memory for descriptions; beyond it numbering goes on with an empty table, so
// that an old number never comes to mean something else.
const plansMax = 8192

// plans numbers statement descriptions: equal SQL with equal description has an equal number on
// every connection of the pool, so that C encodes without asking.
type plans struct {
	mu  sync.Mutex
	ids map[planKey]uint64
}

// lastPlan is shared by all pools: C's knowledge of an alias may outlive a pool that was closed, and
// a number of that one must not mean something in its successor.
var lastPlan atomic.Uint64

type planKey struct{ sql, declared, description string }

// PlanID is the number of a statement's text, declared types and description.
func (p *Pool) PlanID(st *Statement) uint64 {
	var declared []byte
	for _, oid := range st.Declared {
		declared = binary.NativeEndian.AppendUint32(declared, oid)
	}
	key := planKey{st.SQL, string(declared), string(st.Description)}
	p.plans.mu.Lock()
	defer p.plans.mu.Unlock()
	if id, ok := p.plans.ids[key]; ok {
		return id
	}
	if p.plans.ids == nil || len(p.plans.ids) >= plansMax {
		p.plans.ids = make(map[planKey]uint64)
	}
	id := lastPlan.Add(1)
	p.plans.ids[key] = id
	return id
}
