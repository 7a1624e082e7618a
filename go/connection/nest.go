package connection

import (
	"fmt"
	"slices"
	"strings"
)

// Nest is what sessions have open that take turns on one connection, in one transaction that is never
// committed: savepoints, each of which stands for a transaction or a savepoint of one session. Whoever
// holds the connection owns it.
type Nest struct {
	Levels Levels
	// Guarded: the savepoint around a statement is set, the innermost of all. Unless the server has aborted the
	// transaction, what was done in it stays.
	Guarded bool
	// Set are the settings that the last statement's session has set for its transaction.
	Set []string

	begun bool
	last  uint64
}

// Levels are savepoints, the innermost last. Its methods return SQL, and what is open once the server has
// run that.
type Levels []level

type level struct {
	number uint64
	owner  uint64 // the number of the session's transaction
	ended  bool   // released by its session while another's was open inside it
}

const (
	guardName = `"hypern nested statement"`
	checkName = `"hypern nested check"`
)

// SQL for the guard, and for what is checked inside it.
const (
	SetGuard     = "SAVEPOINT " + guardName
	UndoToGuard  = "ROLLBACK TO " + guardName
	ReleaseGuard = "RELEASE " + guardName
	// FailSQL has the server abort the transaction.
	FailSQL = `RELEASE "hypern nested none"`
	// CheckNowSQL checks deferred constraints. It fails if one is broken, and leaves none of them deferred.
	CheckNowSQL = "SET CONSTRAINTS ALL IMMEDIATE"
	// CheckSQL is CheckNowSQL behind which the same constraints are deferred as before.
	CheckSQL = "SAVEPOINT " + checkName + ";" + CheckNowSQL + ";ROLLBACK TO " + checkName + ";RELEASE " + checkName
)

func levelName(number uint64) string { return fmt.Sprintf(`"hypern nested %d"`, number) }

// Nest is the connection's; there is one on a connection of a nested pool.
func (c *Conn) Nest() *Nest { return &c.nest }

// Number is one that no level and no portal of the connection has had.
func (n *Nest) Number() uint64 {
	n.last++
	return n.last
}

// Rest returns the SQL that takes the connection to where no statement is under way.
func (c *Conn) Rest() []string {
	n := &c.nest
	guarded := n.Guarded
	n.Guarded = false
	switch {
	case !n.begun:
		n.begun = true
		n.Levels = Levels{{}}
		return []string{"BEGIN", "SAVEPOINT " + levelName(0)}
	case !guarded && c.tx == 'E': // a savepoint could not be set
		return []string{"ROLLBACK TO " + levelName(n.Levels[len(n.Levels)-1].number)}
	case !guarded:
		return nil
	case c.tx == 'E':
		return []string{UndoToGuard, ReleaseGuard}
	}
	return []string{ReleaseGuard}
}

func (l Levels) find(number uint64) int {
	return slices.IndexFunc(l, func(at level) bool { return at.number == number && number != 0 })
}

// Has returns whether a level is open.
func (l Levels) Has(number uint64) bool { return l.find(number) >= 0 }

// Shared returns whether any transaction is open.
func (l Levels) Shared() bool {
	return slices.ContainsFunc(l, func(at level) bool { return at.owner != 0 && !at.ended })
}

// Push opens a level of a transaction; a transaction's own has its own number as owner.
func (l Levels) Push(number, owner uint64) (string, Levels) {
	return "SAVEPOINT " + levelName(number), append(slices.Clone(l), level{number: number, owner: owner})
}

// Release ends a level and those of its owner inside it, and keeps what was done. The server would end the
// levels of others inside it, too: while there are any, it is left alone, which does no harm.
func (l Levels) Release(number uint64) (string, Levels) {
	i := l.find(number)
	if i < 0 {
		return "", l
	}
	l = slices.Clone(l)
	owner := l[i].owner
	for j := i; j < len(l); j++ {
		l[j].ended = l[j].ended || l[j].owner == owner
	}
	end := len(l)
	for end > 0 && l[end-1].ended {
		end--
	}
	if end == len(l) {
		return "", l
	}
	return "RELEASE " + levelName(l[end].number), l[:end]
}

// Back undoes what was done since a level began, by whichever session.
func (l Levels) Back(number uint64) (string, Levels) {
	i := l.find(number)
	if i < 0 {
		return "", l
	}
	return "ROLLBACK TO " + levelName(number), l[:i+1]
}

// Drop is Back, and Release.
func (l Levels) Drop(number uint64) (string, Levels) {
	back, after := l.Back(number)
	release, after := after.Release(number)
	return strings.Trim(back+";"+release, ";"), after
}
