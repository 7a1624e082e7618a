package connection

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hypern/go/process"
	"hypern/go/wire"
)

// A reset is DISCARD ALL in parts, except for the prepared statements, which belong to the core, and
// the plans, which are worth keeping. https://www.postgresql.org/docs/current/sql-discard.html
//
// It is sent in one of two forms. By itself it is one simple Query: that depends on no prepared name,
// and the server ends it with ReadyForQuery whichever command fails. Ahead of a statement it is a
// series of prepared commands (AppendUndo). The role and the settings come first, so that the other
// commands run as the login role.
//
// The locks go by a SELECT that returns no row, since no one is there to receive it. SESSION
// AUTHORIZATION looks up a role each time, and the server reports it, so that it is reset where it was
// changed. The limit is lifted because DISCARD TEMP may take longer than the role's statement_timeout.
const (
	unlockSQL  = "SELECT 1 WHERE pg_catalog.pg_advisory_unlock_all() IS NULL"
	noLimitSQL = "SET LOCAL statement_timeout = 0"
	authSQL    = "SET SESSION AUTHORIZATION DEFAULT"
	forgetSQL  = "DEALLOCATE ALL"
	lookSQL    = "SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql"
)

// resetSteps are the commands that a server may refuse; refusals.steps has a bit for each.
var resetSteps = [...]string{"RESET ROLE", "RESET ALL", unlockSQL, "CLOSE ALL", "UNLISTEN *", "DISCARD TEMP", "DISCARD SEQUENCES"}

// environmentSteps are those that take settings and temporary tables back, which statements are parsed
// under.
const environmentSteps = 1<<0 | 1<<1 | 1<<5

// firstUnlimited is the first step that runs without the role's statement_timeout.
const firstUnlimited = 2

// repairsMax bounds how often in a row a reset that failed is sent anew: each step may be refused once,
// and the names may be gone.
const repairsMax = len(resetSteps) + 1

// resetScript is a reset that was sent by itself: its commands, in order, tell which of them failed.
type resetScript struct {
	commands []string
	text     string
	forgets  bool // the prepared statements are dropped
	looks    bool // the last command, in a unit of its own, returns a row for each PREPARE by SQL
}

func newScript(refused uint32, rollback, auth, forget, looks bool) *resetScript {
	s := &resetScript{forgets: forget, looks: looks}
	add := func(when bool, sql string) {
		if when {
			s.commands = append(s.commands, sql)
		}
	}
	add(rollback, "ROLLBACK")
	add(auth, authSQL)
	for i, sql := range resetSteps {
		add(i == firstUnlimited, noLimitSQL)
		add(refused&(1<<i) == 0, sql)
	}
	add(forget, forgetSQL)
	s.text = strings.Join(s.commands, ";")
	add(looks, lookSQL)
	return s
}

var (
	usualReset    = newScript(0, false, false, false, false)
	usualRollback = newScript(0, true, false, false, false)
)

// script is the reset that the connection needs.
func (c *Conn) script(rollback bool) *resetScript {
	refused := c.dialer.refusals.steps.Load()
	auth := c.Reauthorized()
	forget := c.prepared || c.unseen && c.cache != CacheNamed // which has nothing to lose
	looks := c.unseen && !forget
	switch {
	case refused != 0 || auth || forget || looks:
		return newScript(refused, rollback, auth, forget, looks)
	case rollback:
		return usualRollback
	}
	return usualReset
}

// AppendReset appends what the connection needs before it serves someone else: a rollback, and the
// undoing of everything a session can set. Its answer ends with one ReadyForQuery, which is owed from
// now on, two where it looks for prepared statements. It follows a Sync or a Query.
func (c *Conn) AppendReset(dst []byte, rollback, clean bool) []byte {
	c.owed++
	c.reset, c.resetRan = nil, 0
	if rollback {
		c.statements.rolledBack()
	}
	if !clean {
		return wire.AppendQuery(dst, "ROLLBACK")
	}
	c.reset = c.script(rollback)
	if c.reset.forgets {
		c.statements.Clear()
	}
	c.statements.reset(c.dialer.refusals.steps.Load())
	c.unreset, c.prepared, c.unseen = false, false, false
	dst = wire.AppendQuery(dst, c.reset.text)
	if c.reset.looks {
		c.owed++
		dst = c.appendLook(dst)
	}
	return dst
}

// appendLook appends the question whether PREPARE has run unseen. It goes by a name, so that it finds out
// about DEALLOCATE ALL, too; and planned each time it would take 96 us in place of 12.
func (c *Conn) appendLook(dst []byte) []byte {
	kept := c.statements
	if kept.look == nil {
		name := kept.NewName()
		dst = wire.AppendParse(dst, name, lookSQL, nil)
		kept.look = wire.AppendSync(wire.AppendExecute(wire.AppendBindNothing(nil, name)))
	}
	return append(dst, kept.look...)
}

// ResetNow resets a connection that was passed on without. Where that cannot be sent at once, the
// connection is broken, and the answer is false.
func (c *Conn) ResetNow() bool {
	sent := c.SendWhole(c.AppendReset(nil, c.tx != 'I', true))
	if !sent {
		c.Break()
	}
	return sent
}

// Unreset reports whether a reset is pending: what the request before has set is still there.
func (c *Conn) Unreset() bool { return c.unreset }

// UnresetFor is how long the reset has been pending.
func (c *Conn) UnresetFor(now process.Moment) time.Duration { return now.Sub(c.leftAt) }

// Defer follows a holder that has left the reset to whoever is next to send.
func (c *Conn) Defer(now process.Moment) {
	c.statements.reset(c.dialer.refusals.steps.Load()) // it precedes whatever is sent next
	if !c.unreset {                                    // else those who have passed it on since have sent nothing
		c.leftAt = now
	}
	c.unreset, c.fresh = true, false
}

// Owed is how many answers are still to come from what was sent and not waited for.
func (c *Conn) Owed() int { return c.owed }

// CanDefer tells whether AppendUndo resets all that can have been set here.
func (c *Conn) CanDefer() bool {
	return c.resetMode == ResetFull && c.cache == CacheNamed && !c.prepared && !c.unseen && !c.Reauthorized() && !c.Rezoned()
}

// AppendUndo appends the reset of a connection that was passed on without, for a statement to follow
// in the same unit: should the reset fail, the server skips the statement; should the statement fail,
// the reset has been committed. It returns how many commands precede the statement.
//
// The commands are prepared: parsed each time, they would take 18 us more than the 14 us of the reset.
func (c *Conn) AppendUndo(dst []byte) ([]byte, int) {
	kept, refused := c.statements, c.dialer.refusals.steps.Load()
	if kept.Undo == nil || kept.undoWithout != refused {
		kept.Undo, kept.undoCommands, kept.undoWithout = nil, kept.undoCommands[:0], refused
		add := func(sql string) {
			name := kept.NewName()
			dst = wire.AppendParse(dst, name, sql, nil)
			kept.Undo = wire.AppendExecute(wire.AppendBindNothing(kept.Undo, name))
			kept.undoCommands = append(kept.undoCommands, sql)
		}
		add("BEGIN")
		kept.undoBegin = len(kept.Undo)
		for i, sql := range resetSteps {
			if refused&(1<<i) == 0 {
				add(sql)
			}
		}
		add("COMMIT")
	}
	c.unreset, c.reset = false, nil
	kept.reset(refused)
	return append(dst, kept.Undo...), len(kept.undoCommands)
}

// AppendBegin appends BEGIN by the name it has among the commands of AppendUndo; false where there is
// none. It saves 2 us of a transaction. Should the name be gone, nothing that follows has run.
func (c *Conn) AppendBegin(dst []byte) ([]byte, bool) {
	kept := c.statements
	if kept.Undo == nil {
		return dst, false
	}
	return append(dst, kept.Undo[:kept.undoBegin]...), true
}

// noteRefusal follows an error in the answer to a reset, whose ReadyForQuery is still to come. failed is
// the command that has failed.
func (c *Conn) noteRefusal(fault *wire.Fault, failed string) {
	if c.refusal == nil {
		c.refusal = fault
		c.dialer.refusals.note(failed, fault)
	}
}

// Refused tells whether the server has refused a reset and Repair can send another.
func (c *Conn) Refused() bool {
	return c.refusal != nil && !c.broken && c.owed == 0 && c.killed.Load() == nil
}

// Repair resets a connection anew whose reset has failed, without the steps that the server refuses.
// One that cannot be repaired is broken, and the answer is false.
func (c *Conn) Repair() bool {
	if c.repairs++; c.repairs > repairsMax || c.resetMode != ResetFull {
		c.broken = true
		return false
	}
	if c.refusal.SQLState == wire.StateUndefinedStatement {
		c.prepared = true // DEALLOCATE ALL ran unseen, or some names are gone
	}
	if c.reset != nil {
		c.prepared = c.prepared || c.reset.forgets || c.reset.looks
	}
	c.refusal = nil
	return c.ResetNow()
}

// refusals are the steps of a reset that the server does not let the pool's role run, or does not know.
// They are left out from then on: a new connection would be refused them, too.
type refusals struct {
	steps atomic.Uint32
	mu    sync.Mutex
	texts []string // guarded by mu
}

// States of a refusal that will be the same next time.
var permanent = map[string]bool{
	wire.StateInsufficientPrivilege: true,
	wire.StateFeatureNotSupported:   true,
	wire.StateUndefinedFunction:     true,
	wire.StateSyntaxError:           true,
}

func (r *refusals) note(failed string, fault *wire.Fault) {
	if !permanent[fault.SQLState] {
		return
	}
	for i, sql := range resetSteps {
		if sql == failed && r.steps.Or(1<<i)&(1<<i) == 0 {
			r.mu.Lock()
			r.texts = append(r.texts, sql+": "+fault.Error())
			r.mu.Unlock()
		}
	}
}

func (r *refusals) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.texts...)
}

// Incomplete tells whether the reset between requests leaves a step out.
func (c *Conn) Incomplete() bool {
	return c.resetMode == ResetFull && c.dialer.refusals.steps.Load() != 0
}
