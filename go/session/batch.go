package session

import (
	"slices"
	"strings"

	"hypern/go/abi"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// batch is several statements in one write: in the open transaction, else all of them or none. It takes them in
// runs. A run ends behind a statement that may change what the next one is parsed under, ahead of one that
// cannot be parsed yet, and ahead of one that must run apart: its composite types need guards, or its text
// needs settings to be printed in. For such a one DONE says how many have run, and C goes on from there; outside
// a transaction none has, and C opens one first.
//
// Outside a transaction a batch of queries that is one run needs no BEGIN: up to its Sync the server runs it in
// one transaction. Any other has BEGIN and COMMIT of its own (s.op.own).
type batch struct {
	items []item
	first int // of the run; those before it have run
	limit int // the run ends here, at the latest
	at    int // the item being prepared

	retried bool
	inside  bool        // a transaction was open when the batch began
	anew    bool        // phaseUndo: then all is sent once more
	apart   bool        // phaseUndo: then C opens a transaction
	commits bool        // phaseBatch: COMMIT is part of the write
	fault   *wire.Fault // phaseUndo, phaseCalm: what to report
	asked   []*item     // phaseBatchDescribe: in this order
	refused bool        // phaseBatchDescribe: one could not be parsed, which is being undone
}

// item is one statement of a batch.
type item struct {
	preparation
	batch   *batch
	index   int
	plain   bool // it begins with one of plainVerbs
	sql     string
	flags   uint32 // of the settings that its result must be printed under
	bodyLen int
	ready   bool // C has encoded for its description
	apart   bool // it cannot be part of a run
}

// plainVerbs begin the statements that are as good in a transaction that ends with the Sync.
var plainVerbs = []string{"select", "insert", "update", "delete", "merge", "values", "table", "with"}

func newBatch(c *Call) *batch {
	b := &batch{items: make([]item, len(c.Items))}
	for i, given := range c.Items {
		it := &b.items[i]
		it.of = it
		it.registered, it.reparse = c.has(abi.InRegistered), given.Flags&abi.InReparse != 0
		if len(given.Declared) > 0 {
			it.declared = slices.Clone(given.Declared)
		}
		if given.Flags&abi.InGuess != 0 {
			it.guess = given.Plan
		}
		it.batch, it.index = b, i
		it.sql, it.flags, it.bodyLen = strings.Clone(given.SQL), given.Flags&formatFlags, given.BodyLen
	}
	return b
}

func (b *batch) start(s *Session, c *Call) {
	if !s.fit(c) {
		return
	}
	for i := range b.items {
		it := &b.items[i]
		if it.plain = beginsWith(it.sql, plainVerbs); it.plain {
			continue
		}
		if fault := refusedItem(it.sql); fault != nil {
			fault.SafeToRetry = true
			c.fail(b.ofItem(fault, i))
			return
		}
	}
	if len(b.items) == 0 || s.nests() { // whose statements run one by one
		c.done(0)
		return
	}
	s.acquireFor(c, b)
}

// refusedItem is what a batch does not take; nil if it takes the statement.
func refusedItem(sql string) *wire.Fault {
	scanner := sqltext.NewScanner(sql)
	switch first := scanner.Next(); {
	case first.Kind == sqltext.End:
		return emptyFault(sql)
	case first.Is("listen"):
		return refusedListen(sql)
	case commandsTransaction(sql):
		return &wire.Fault{Kind: wire.KindProgramming, SQL: sql, Message: "a batch does not take transaction commands, " +
			"since all its statements are one transaction, or part of the open one"}
	case first.Is("copy"):
		for t := scanner.Next(); t.Kind != sqltext.End; t = scanner.Next() {
			if t.Is("stdin") || t.Is("stdout") {
				return copyFault(sql)
			}
		}
	}
	return nil
}

// ofItem names the item in a fault.
func (b *batch) ofItem(fault *wire.Fault, i int) *wire.Fault {
	index := int64(i)
	fault.Index = &index
	if fault.SQL == "" {
		fault.SQL = b.items[i].sql
	}
	return fault
}

func (b *batch) begin(s *Session, c *Call) {
	b.first, b.inside = 0, s.within()
	b.forget()
	b.prepare(s, c)
}

// forget drops what the items were prepared for.
func (b *batch) forget() {
	for i := range b.items {
		b.items[i].statement, b.items[i].fresh = nil, false
	}
}

func (b *batch) resume(s *Session, c *Call) {
	switch s.op.phase {
	case phaseBatchDescribe:
		b.described(s, c)
		return
	case phaseBatch:
		b.ran(s, c)
		return
	case phaseRowsEnd:
		b.committed(s, c)
		return
	case phaseUndo:
		b.undone(s, c)
		return
	case phaseCalm:
		b.calmed(s, c)
		return
	case phaseEncode:
		if c.has(abi.InCancelled) { // the caller has an error of its own
			b.fail(s, c, &wire.Fault{Kind: wire.KindOperational, Message: "the batch was not sent"})
			return
		}
	}
	it := &b.items[b.at]
	if s.op.phase == phaseEncode {
		it.bodyLen, it.flags = c.BodyLen, c.Flags&formatFlags
	} else { // the step is an answer's, which is of no item to C
		it.bring(c)
	}
	it.resume(s, c)
	b.prepared(s, c)
}

// prepared goes on once the item at hand is ready, or its step is one that C takes.
func (b *batch) prepared(s *Session, c *Call) {
	c.Item = b.at
	if b.items[b.at].ready {
		b.at++
		b.prepareItems(s, c)
	}
}

// prepareItems has the items of the run encoded, one after the other, and then sent.
func (b *batch) prepareItems(s *Session, c *Call) {
	for b.at < b.limit {
		it := &b.items[b.at]
		s.op.sql, s.op.owned, s.op.prefix = it.sql, true, 0
		it.bring(c)
		it.ready, it.apart = false, false
		c.Item = b.at
		it.find(s, c)
		if !it.ready {
			return
		}
		b.at++
	}
	b.layOut(s, c)
}

// bring has the step tell of the parameters that C has encoded for the item.
func (it *item) bring(c *Call) {
	c.BodyLen, c.Flags = it.bodyLen, c.Flags&^formatFlags|it.flags&formatFlags
}

func (it *item) send(s *Session, _ *Call, guarded bool) {
	it.ready = true
	it.guess = it.statement.Plan
	it.apart = guarded || s.lacks(format(it.flags), it.sql, true, false) != 0
}

func (it *item) begin(*Session, *Call) {} // the batch has the connection

func (it *item) giveUp(s *Session, c *Call, fault *wire.Fault) { it.batch.fail(s, c, fault) }

func (it *item) ofRow(fault *wire.Fault) *wire.Fault { return it.batch.ofItem(fault, it.index) }

// fits returns how many of the prepared items one write can have.
func (b *batch) fits(s *Session) int {
	for i := b.first; i < b.limit; i++ {
		it := &b.items[i]
		if it.apart || it.statement.Name != "" && !s.conn.Statements().Has(it.statement) {
			return i
		}
	}
	return b.limit
}

// layOut has C send the run.
func (b *batch) layOut(s *Session, c *Call) {
	end := b.fits(s)
	if end < b.limit {
		apart := b.items[end].apart
		switch {
		case end > b.first && (s.tx.active() || s.op.own):
		case !apart: // the cache does not hold all of the run's statements
			end = b.first + 1
			if b.limit == end {
				b.fail(s, c, b.ofItem(interfaceFault("the statement is too long for a batch"), b.first))
				return
			}
			b.limit, b.at = end, b.first
			b.prepareItems(s, c)
			return
		case s.op.own:
			b.apart = true
			b.undo(s, c, nil)
			return
		case s.tx.active():
			c.done(int64(b.first))
			return
		default:
			c.done(0)
			return
		}
		b.limit = end
	}
	if s.op.cancelled {
		fault := cancelledFault("before the batch was sent")
		fault.SafeToRetry = !s.op.partly
		b.fail(s, c, fault)
		return
	}
	begins := !s.tx.active() && !s.op.own && !b.isPlain()
	b.append(s, c, begins)
	s.op.got.ours = s.op.prefix
	s.op.listener = batchListener{s.conn, b, &s.op.got}
	c.Count, c.Want, c.ZS = int64(s.op.prefix), abi.WantBatch, 1
}

// append lays the run out.
func (b *batch) append(s *Session, c *Call, begins bool) {
	c.Head = s.sendPrelude(c.Head, false)
	if begins {
		s.op.own = true
		c.Head = appendCommand(c.Head, "BEGIN")
		s.op.prefix++
	}
	// What may change client_encoding is not committed before it is known that it has not.
	b.commits = s.op.own && b.limit == len(b.items)
	for i := b.first; i < b.limit; i++ {
		it := &b.items[i]
		st := it.statement
		if st.Name == "" {
			c.Head = wire.AppendParse(c.Head, "", s.conn.Statements().Commented(st.SQL), st.OIDs)
		}
		c.Head = wire.AppendBindHead(c.Head, "", st.Name, it.bodyLen)
		c.Out = abi.AppendCut(c.Out, i, len(c.Head))
		if st.Name == "" {
			c.Head = wire.AppendDescribe(c.Head, 'P', "")
		}
		c.Head = wire.AppendExecute(c.Head)
		b.commits = b.commits && st.Effect.Settings == sqltext.Unchanged
	}
	if b.commits {
		c.Head = appendCommand(c.Head, "COMMIT")
	}
	c.Head = wire.AppendSync(c.Head)
	prefix := s.op.prefix
	s.beginIO(phaseBatch)
	s.op.prefix, s.op.commits = prefix, b.commits
}
