package connection

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"hypern/go/process"
)

const (
	// plansBytes bounds what the numbered texts and descriptions of a pool take. The oldest go first,
	// and their numbers never come back.
	plansBytes = 4 << 20
	// planBytes is the longest text and description that is numbered for more than one use: C keeps
	// no longer ones either.
	planBytes = 64 << 10
	// planOverhead is what an entry takes besides its text and description.
	planOverhead = 128
)

// plans numbers statement descriptions: equal SQL with equal description has an equal number on
// every connection of the pool, so that C can encode before the first step.
type plans struct {
	mu    sync.Mutex
	ids   map[planKey]plan
	order []planKey // oldest first
	bytes int
}

type plan struct {
	id    uint64
	asked process.Moment // when the domains of its tables' columns were read, which C keeps; 0: never
}

// lastPlan is shared by all pools: C's knowledge of an alias may outlive a pool that was closed, and
// its numbers must not mean anything in its successor.
var lastPlan atomic.Uint64

type planKey struct {
	sql, declared, description string
	catalog                    uint64
}

func (k planKey) bytes() int { return len(k.sql) + len(k.declared) + len(k.description) + planOverhead }

// SetPlan gives a statement the number of its text, declared types and description, whose types are as its
// catalog describes them. What was read of its tables before since counts no more.
func (c *Conn) SetPlan(st *Statement, since process.Moment) {
	p := &c.dialer.plans
	if len(st.SQL)+len(st.Description) > planBytes {
		st.Plan, st.asked = lastPlan.Add(1), 0
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.number(keyOf(st), since)
	st.Plan, st.asked = known.id, known.asked
}

// AskedColumns notes that the columns of the statement's tables are being read.
func (c *Conn) AskedColumns(st *Statement) {
	p := &c.dialer.plans
	key := keyOf(st)
	st.asked = process.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.ids[key]; ok && known.id == st.Plan {
		p.ids[key] = plan{known.id, st.asked}
	}
}

func keyOf(st *Statement) planKey {
	var declared []byte
	for _, oid := range st.Declared {
		declared = binary.NativeEndian.AppendUint32(declared, oid)
	}
	key := planKey{st.SQL, string(declared), string(st.Description), 0}
	if st.Catalog != nil {
		key.catalog = st.Catalog.Number
	}
	return key
}

// number: called with mu held.
func (p *plans) number(key planKey, since process.Moment) plan {
	if known, ok := p.ids[key]; ok {
		if known.asked != 0 && known.asked < since {
			known = plan{id: lastPlan.Add(1)}
			p.ids[key] = known
		}
		return known
	}
	if p.ids == nil {
		p.ids = make(map[planKey]plan)
	}
	for p.bytes += key.bytes(); p.bytes > plansBytes; {
		oldest := p.order[0]
		p.order[0] = planKey{}
		p.order = p.order[1:]
		delete(p.ids, oldest)
		p.bytes -= oldest.bytes()
	}
	added := plan{id: lastPlan.Add(1)}
	p.ids[key] = added
	p.order = append(p.order, key)
	return added
}

// clear forgets all texts: the pool has been closed.
func (p *plans) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids, p.order, p.bytes = nil, nil, 0
}
