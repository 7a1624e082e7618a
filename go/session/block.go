package session

import (
	"fmt"
	"slices"
	"strings"

	"hypern/go/abi"
	"hypern/go/wire"
)

// block is a transaction() block that has been entered and not left yet. Blocks form a stack, whatever
// thread or task enters them.
type block struct {
	number    uint64
	place     string // where it was entered: file:line
	savepoint string // "": it began the transaction
}

// void is why every statement fails until the open blocks have been left: their transaction has ended.
type void struct {
	harmless bool // by a command of the user's own, so that the end of a block need not report it
	fault    *wire.Fault
}

// opening opens a transaction: begin(), or the entry of a block. A block in an open transaction, or in an atomic
// scope, is a savepoint.
type opening struct {
	block uint64 // ENTER: which
}

// ownBegin precedes the BEGIN of a block that is not to be a savepoint.
const ownBegin = "own "

func (o *opening) start(s *Session, c *Call) {
	enters := s.op.op == abi.OpEnter
	if !s.usable(c) {
		return
	}
	s.own()
	switch {
	case !enters && s.tx.active():
		c.fail(interfaceFault("begin() inside a transaction; transaction() nests with a savepoint"))
	case s.tx.lost:
		c.fail(s.lostFault())
	case enters && s.tx.active():
		o.enterSavepoint(s, c)
	case o.joins(s) && s.entry().begin != "BEGIN":
		c.fail(interfaceFault("transaction() in an atomic scope is a savepoint and takes no options; " +
			"pass them to the scope, as in atomic={\"isolation\": \"serializable\"}"))
	case !s.permitted(c):
	default:
		s.acquireFor(c, o)
	}
}

// joins returns whether the block is a savepoint in a transaction that begins by itself.
func (o *opening) joins(s *Session) bool {
	return s.op.op == abi.OpEnter && s.isAtomic() && !s.entry().owns
}

// entry is what the text of ENTER says: the block's place and its BEGIN, a line each.
type entry struct {
	place, begin string
	owns         bool // it has a transaction of its own, even in an atomic scope
}

func (s *Session) entry() entry {
	end := strings.LastIndexByte(s.op.sql, '\n')
	e := entry{place: s.op.sql[:max(end, 0)]}
	e.begin, e.owns = strings.CutPrefix(s.op.sql[end+1:], ownBegin)
	return e
}

func (o *opening) enterSavepoint(s *Session, c *Call) {
	e := s.entry()
	if e.begin != "BEGIN" {
		c.fail(interfaceFault("a nested transaction() is a savepoint and takes no options"))
		return
	}
	if !s.transactionOpen(c) {
		return
	}
	s.applySettings() // ahead of the savepoint, whose rollback leaves them
	b := block{o.block, e.place, fmt.Sprintf("hypern_%d", o.block)}
	s.blocks = append(s.blocks, b)
	s.setSavepoint(c, b.savepoint)
}

// begin has BEGIN travel with the next statement.
func (o *opening) begin(s *Session, c *Call) {
	if s.op.op == abi.OpEnter && s.op.cancelled {
		c.fail(cancelledFault("before the transaction began"))
		return
	}
	switch {
	case s.tx.active(): // nested: that of the scope
		o.enterSavepoint(s, c)
		return
	case o.joins(s) && s.nests():
		s.transact(c, phaseScope, s.scope.begin)
		return
	case o.joins(s):
		s.openTransaction(s.scope.begin)
		o.enterSavepoint(s, c)
		return
	}
	begin := s.op.sql
	if s.op.op == abi.OpEnter {
		e := s.entry()
		begin = e.begin
		s.blocks = append(s.blocks, block{number: o.block, place: e.place})
	}
	if s.nests() {
		s.first, s.told, s.inDoubt = nil, false, false
		s.savepoints = s.savepoints[:0]
		s.transact(c, phaseVerdict, begin)
		return
	}
	s.openTransaction(begin)
	c.done(0)
}

// resume: nested, the server has answered.
func (o *opening) resume(s *Session, c *Call) { s.finish(c, o.begun(s, s.verdict("", nil))) }

// leaving ends a block: LEAVE commits, UNDO rolls back. One that is not open has been left before.
type leaving struct {
	control
	block uint64
}

func (o *leaving) start(s *Session, c *Call) {
	i := s.placeOf(o.block)
	if i < 0 {
		c.done(0)
		return
	}
	commits := s.op.op == abi.OpLeave
	left := s.blocks[i]
	switch {
	case s.void != nil:
		v := s.void
		s.dropBlock(i)
		if commits && !v.harmless {
			o.report = v.fault
		}
		if len(s.blocks) > 0 {
			o.reportOrDone(c)
			return
		}
		o.rollbackAll(s, c) // a chained transaction
	case i < len(s.blocks)-1:
		inner := s.blocks[i+1].place
		s.dropBlock(i)
		o.report = interfaceFault("the transaction() block entered at %s ended while the one entered at %s was open, "+
			"so their transaction was rolled back; end the inner block first, and give threads and tasks "+
			"that work side by side a scope() each", left.place, inner)
		s.voidAll(interfaceFault("the transaction of the block entered at %s was rolled back, because an outer "+
			"transaction() block ended first; leave the block before anything else", inner))
		o.rollbackAll(s, c)
	case left.savepoint == "" && commits:
		s.dropBlock(i)
		if o.report = s.pastDeadline(); o.report != nil && !s.tx.owed {
			o.rollbackAll(s, c)
			return
		}
		o.report = nil
		o.commit(s, c)
	case left.savepoint == "":
		s.dropBlock(i)
		if !s.tx.active() {
			c.done(0)
			return
		}
		o.rollback(s, c)
	case commits:
		s.dropBlock(i)
		o.release(s, c, left.savepoint)
	default:
		s.dropBlock(i)
		o.rollbackTo(s, c, left.savepoint)
	}
}

// placeOf is the place of an open block in the stack, or -1.
func (s *Session) placeOf(number uint64) int {
	return slices.IndexFunc(s.blocks, func(b block) bool { return b.number == number })
}

// dropBlock takes a block out. With the last one, what was wrong with all of them is over.
func (s *Session) dropBlock(i int) {
	s.blocks = slices.Delete(s.blocks, i, i+1)
	if len(s.blocks) > 0 || s.void == nil {
		return
	}
	s.void = nil
	if s.tx.lost { // with the connection that was to roll it back
		s.settled(evRolledBack, false)
	}
}

// voidAll makes the blocks that are open useless.
func (s *Session) voidAll(fault *wire.Fault) {
	if len(s.blocks) > 0 {
		s.void = &void{fault: fault}
	}
}

// rollbackAll rolls the transaction back, if one is open, and then reports what there is to report.
func (o *control) rollbackAll(s *Session, c *Call) {
	if s.tx.active() {
		if o.rollback(s, c); c.Want != abi.WantDone {
			return
		}
	}
	o.reportOrDone(c)
}

func (o *control) reportOrDone(c *Call) {
	if o.report != nil {
		c.fail(o.report)
		return
	}
	c.done(0)
}

// usable fails the call while blocks are open whose transaction has ended.
func (s *Session) usable(c *Call) bool {
	if s.void == nil {
		return true
	}
	fault := *s.void.fault
	c.fail(&fault)
	return false
}

// outsideBlocks fails a commit() or rollback() inside a block. A request's own (InRequest), which settles
// what its handler has left open, is none of the user's: it rolls the blocks back.
func (o *control) outsideBlocks(s *Session, c *Call, method string) bool {
	if len(s.blocks) == 0 {
		return true
	}
	place := s.blocks[len(s.blocks)-1].place
	if !o.byRequest {
		c.fail(interfaceFault("%s() inside the transaction() block entered at %s, which ends its transaction itself: "+
			"it commits at its end, and rolls back when an exception leaves it", method, place))
		return false
	}
	later := interfaceFault("the transaction of the block entered at %s was rolled back by the end of its request; "+
		"leave the block before anything else", place)
	if method == "commit" {
		o.report = s.openBlock()
	}
	s.voidAll(later)
	o.rollbackAll(s, c)
	return false
}

// openBlock is the fault of a scope or request that ends inside a block.
func (s *Session) openBlock() *wire.Fault {
	place := s.blocks[len(s.blocks)-1].place
	if s.void != nil && s.void.harmless {
		return interfaceFault("the scope or request ended inside the transaction() block entered at %s; leave the block first", place)
	}
	return interfaceFault("the scope or request ended inside the transaction() block entered at %s, "+
		"whose transaction was rolled back; leave the block first", place)
}

// voidUnbegun: the BEGIN of the open block has failed, so that nothing else may run in it.
func (s *Session) voidUnbegun() {
	if len(s.blocks) > 0 && s.void == nil {
		s.void = &void{fault: interfaceFault("the transaction of the transaction() block entered at %s did not begin; "+
			"leave the block before anything else", s.blocks[len(s.blocks)-1].place)}
	}
}

// endedInBlock is what a statement gets after SQL has ended the transaction of a block.
func (s *Session) endedInBlock() *wire.Fault {
	return interfaceFault("the transaction of the transaction() block entered at %s was ended by a COMMIT or ROLLBACK "+
		"in SQL; leave the block before anything else", s.blocks[len(s.blocks)-1].place)
}

// abandonBlock forgets a block that its caller never got to enter, as far as nothing was done in it; else
// it stays open, so that its transaction cannot be committed.
func (s *Session) abandonBlock(number uint64) {
	last := len(s.blocks) - 1
	if last < 0 || s.blocks[last].number != number || s.op.phase != phaseNone || s.void != nil {
		return
	}
	switch b := s.blocks[last]; {
	case s.nests():
		if s.nest.entered != number {
			return
		}
		s.unenter(b)
	case b.savepoint == "" && s.tx.owed:
		s.prelude.clear()
		s.tx = s.tx.transition(evRolledBack, 0)
	case b.savepoint != "" && s.prelude.unsend(savepointWord+b.savepoint):
	default:
		return
	}
	s.dropBlock(last)
}

func interfaceFault(format string, args ...any) *wire.Fault {
	return &wire.Fault{Kind: wire.KindInterface, Message: fmt.Sprintf(format, args...)}
}
