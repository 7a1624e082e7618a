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

// enter opens a block: a transaction, or a savepoint in the one that is open. The operation's text is the
// block's place and its BEGIN, a line each.
func (s *Session) enter(c *Call) {
	if !s.tx.active() {
		s.acquire(c)
		return
	}
	place, begin := s.placeAndBegin()
	if begin != "BEGIN" {
		c.fail(&wire.Fault{Kind: wire.KindInterface, Message: "a nested transaction() is a savepoint and takes no options"})
		return
	}
	if !s.transactionOpen(c) {
		return
	}
	b := block{s.op.block, place, fmt.Sprintf("hypern_%d", s.op.block)}
	s.blocks = append(s.blocks, b)
	s.owe(c, b.savepoint)
}

// entered: the session has its connection, and the block begins the transaction.
func (s *Session) entered(c *Call) {
	if s.op.cancelled {
		c.fail(cancelledFault("before the transaction began"))
		return
	}
	place, begin := s.placeAndBegin()
	s.blocks = append(s.blocks, block{number: s.op.block, place: place})
	s.beginTransaction(c, begin)
}

func (s *Session) placeAndBegin() (place, begin string) {
	end := strings.LastIndexByte(s.op.sql, '\n')
	return s.op.sql[:max(end, 0)], s.op.sql[end+1:]
}

// leaveBlock ends the operation's block: LEAVE commits, UNDO rolls back. One that is not open has been left
// before.
func (s *Session) leaveBlock(c *Call) {
	i := s.placeOf(s.op.block)
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
			s.op.undo = v.fault
		}
		if len(s.blocks) > 0 {
			s.failVoid(c)
			return
		}
		s.rollbackAll(c) // a chained transaction
	case i < len(s.blocks)-1:
		fault := interfaceFault("the transaction() block entered at %s ended while the one entered at %s was open, "+
			"so their transaction was rolled back; end the inner block first, and give threads and tasks "+
			"that work side by side a scope() each", left.place, s.blocks[i+1].place)
		inner := s.blocks[i+1].place
		s.dropBlock(i)
		s.voidAll(fault, interfaceFault("the transaction of the block entered at %s was rolled back, because an outer "+
			"transaction() block ended first; leave the block before anything else", inner))
		s.rollbackAll(c)
	case left.savepoint == "" && commits:
		s.dropBlock(i)
		s.commit(c)
	case left.savepoint == "":
		s.dropBlock(i)
		if !s.tx.active() {
			c.done(0)
			return
		}
		s.rollback(c)
	case commits:
		s.dropBlock(i)
		s.releaseOwn(c, left.savepoint)
	default:
		s.dropBlock(i)
		s.rollbackToOwn(c, left.savepoint)
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

// voidAll makes the operation end with a fault after the rollback, and the blocks that are open useless.
func (s *Session) voidAll(now, later *wire.Fault) {
	s.op.undo = now
	if len(s.blocks) > 0 {
		s.void = &void{fault: later}
	}
}

// rollbackAll rolls the transaction back, if one is open, and reports what voidAll was given.
func (s *Session) rollbackAll(c *Call) {
	if !s.tx.active() {
		s.failVoid(c)
		return
	}
	s.rollback(c)
	if c.Want == abi.WantDone {
		s.failVoid(c)
	}
}

// failVoid ends the operation as voidAll said.
func (s *Session) failVoid(c *Call) {
	if fault := s.op.undo; fault != nil {
		c.fail(fault)
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
func (s *Session) outsideBlocks(c *Call, method string) bool {
	if len(s.blocks) == 0 {
		return true
	}
	place := s.blocks[len(s.blocks)-1].place
	if !s.op.byRequest {
		c.fail(interfaceFault("%s() inside the transaction() block entered at %s, which ends its transaction itself: "+
			"it commits at its end, and rolls back when an exception leaves it", method, place))
		return false
	}
	later := interfaceFault("the transaction of the block entered at %s was rolled back by the end of its request; "+
		"leave the block before anything else", place)
	var now *wire.Fault
	if method == "commit" {
		now = s.openBlock()
	}
	s.voidAll(now, later)
	s.rollbackAll(c)
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
		s.owed = s.owed[:0]
		s.tx = s.tx.transition(evRolledBack, 0)
	case b.savepoint != "" && s.unsend(b.savepoint):
	default:
		return
	}
	s.dropBlock(last)
}

func interfaceFault(format string, args ...any) *wire.Fault {
	return &wire.Fault{Kind: wire.KindInterface, Message: fmt.Sprintf(format, args...)}
}
