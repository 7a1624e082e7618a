package session

import (
	"encoding/binary"

	"hypern/go/connection"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// batchSavepoint is set around the descriptions of a batch inside a transaction, which a text that cannot be
// parsed yet must not abort.
const batchSavepoint = savepointWord + "hypern_batch"

// unknownMax is how many statements are described in one write: fewer than a connection keeps.
const unknownMax = 128

// prepare begins a run: it finds its end, and has the statements described that the connection does not know.
func (b *batch) prepare(s *Session, c *Call) {
	b.asked = b.unknown(s)
	b.at = b.first
	alone := len(b.asked) == 1 && b.asked[0] == &b.items[b.first] // its place is here: find describes it
	if len(b.asked) == 0 || alone || s.conn.Tx() == 'E' {
		b.prepareItems(s, c)
		return
	}
	s.remember(b.asked[0].sql)
	nested := s.conn.Tx() == 'T'
	if nested {
		c.Head = appendCommand(c.Head, batchSavepoint)
	}
	for _, it := range b.asked {
		s.op.sql, s.op.owned = it.sql, true
		st := it.parse(s)
		c.Head = wire.AppendParse(c.Head, st.Name, s.conn.Statements().Commented(it.sql), st.Declared)
		c.Head = wire.AppendDescribe(c.Head, 'S', st.Name)
	}
	if nested {
		c.Head = appendCommand(c.Head, "RELEASE hypern_batch")
	}
	c.Head = wire.AppendSync(c.Head)
	s.beginIO(phaseBatchDescribe)
	s.op.prefix = 0
	s.op.got.ours = 2
	c.io(0, 1)
}

// unknown returns what is to be described before the run's items can be encoded, and finds where it ends.
func (b *batch) unknown(s *Session) []*item {
	type text struct{ sql, declared string }
	var seen map[text]bool
	var asked []*item
	b.limit = len(b.items)
	for i := b.first; i < b.limit; i++ {
		it := &b.items[i]
		st := it.inCache(s)
		known := st != nil
		if !known && s.conn.Cache() == connection.CacheOff {
			b.limit = i + 1 // nothing is kept: it is described and sent by itself
			return nil
		}
		if !known {
			if seen == nil {
				seen = make(map[text]bool)
			}
			key := text{it.sql, declaredKey(it.declared)}
			if len(asked) == unknownMax && !seen[key] {
				b.limit = i
				break
			}
			if !seen[key] {
				seen[key] = true
				asked = append(asked, it)
			}
		}
		if it.bars(st, s.conn) {
			b.limit = i + 1
		}
	}
	return asked
}

// inCache is the item's statement as the connection has it; nil if the server is to describe it.
func (it *item) inCache(s *Session) *connection.Statement {
	s.op.sql = it.sql
	if it.reparse {
		return nil
	}
	return it.known(s, s.conn)
}

func declaredKey(oids []uint32) string {
	var key []byte
	for _, oid := range oids {
		key = binary.NativeEndian.AppendUint32(key, oid)
	}
	return string(key)
}

// bars returns whether what follows the statement may have to be parsed behind it: it may change settings that
// parsing looks at, or the schema.
func (it *item) bars(known *connection.Statement, conn *connection.Conn) bool {
	switch {
	case !it.plain:
		return true
	case known != nil:
		return known.Effect.Settings != sqltext.Unchanged
	}
	return sqltext.Examine(it.sql, conn.Reports).Settings != sqltext.Unchanged
}

func beginsWith(sql string, verbs []string) bool {
	scanner := sqltext.NewScanner(sql)
	first := scanner.Next()
	for first.Is("(") {
		first = scanner.Next()
	}
	for _, verb := range verbs {
		if first.Is(verb) {
			return true
		}
	}
	return false
}

// described takes in the descriptions. The run ends ahead of a text that could not be parsed: it is tried
// again at its place.
func (b *batch) described(s *Session, c *Call) {
	got := &s.op.got
	if b.refused { // the savepoint has been undone
		b.refused = false
		s.ready(got)
		if got.fault != nil {
			b.fail(s, c, got.fault)
			return
		}
		b.prepareItems(s, c)
		return
	}
	n, err := b.take(s, c.Ctl)
	if err != nil {
		s.brokenIO(c, err.Error())
		return
	}
	if got.fault == nil { // the transaction is what it was; a BEGIN may still be pending
		b.prepareItems(s, c)
		return
	}
	if n < len(b.asked) {
		b.limit = max(b.asked[n].index, b.first+1)
	}
	if got.status == 'I' {
		b.prepareItems(s, c)
		return
	}
	c.Head = appendCommand(c.Head, "ROLLBACK TO hypern_batch")
	c.Head = wire.AppendSync(appendCommand(c.Head, "RELEASE hypern_batch"))
	b.refused = true
	s.beginIO(phaseBatchDescribe)
	s.op.got.ours = 2
	c.io(0, 1)
}

// take reads the descriptions, and returns how many there are.
func (b *batch) take(s *Session, ctl []byte) (int, error) {
	var params []byte
	n := 0
	for len(ctl) > 0 && n < len(b.asked) {
		f, rest, whole, err := wire.Next(ctl)
		if err != nil || !whole {
			return n, wire.ErrProtocol
		}
		ctl = rest
		var columns []byte
		switch f.Kind {
		case 't':
			params = append([]byte{}, f.Body...)
			continue
		case 'T':
			columns = append([]byte{}, f.Body...)
		case 'n':
		default:
			continue
		}
		it := b.asked[n]
		if err := it.take(s, params, columns); err != nil {
			return n, err
		}
		it.reparse = false
		n++
	}
	return n, nil
}
