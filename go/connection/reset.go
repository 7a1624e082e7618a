package connection

import (
	"strings"
	"sync"
	"sync/atomic"

	"hypern/go/wire"
)

// A reset is DISCARD ALL in parts, except for the prepared statements, which belong to the core, and
// the plans, which are worth keeping. https://www.postgresql.org/docs/current/sql-discard.html
//
// What the on_connect functions have set follows (baseline).
//
// By itself it is one simple Query (resetScript): that depends on no prepared name, and the server ends it
// with ReadyForQuery whichever command fails. Ahead of a statement it is a series of prepared commands
// (resetCommands). The role and the settings come first, so that the other commands run as the login role.
//
// Locks are released by a SELECT that returns no row, since no one is there to receive it. SET SESSION
// AUTHORIZATION looks up a role each time, and the server reports it, so it is reset only where it was
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

// environmentSteps are those that reset what statements are parsed under: settings and temporary tables.
const environmentSteps = 1<<0 | 1<<1 | 1<<5

// firstUnlimited is the first step that runs without the role's statement_timeout.
const firstUnlimited = 2

// repairsMax bounds how often in a row a failed reset is replaced: each step may be refused once, and
// the names may be gone.
const repairsMax = len(resetSteps) + 1

// resetScript is a reset that is sent by itself. The order of its commands shows which of them failed.
type resetScript struct {
	commands []string
	text     string
	forgets  bool // the prepared statements are dropped
	looks    bool // the last command, in a unit of its own, returns a row for each PREPARE by SQL
}

func newScript(refused uint32, rollback, auth, forget, looks bool, baseline string) *resetScript {
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
	add(baseline != "", baseline)
	add(forget, forgetSQL)
	s.text = strings.Join(s.commands, ";")
	add(looks, lookSQL)
	return s
}

var (
	usualReset    = newScript(0, false, false, false, false, "")
	usualRollback = newScript(0, true, false, false, false, "")
)

// script is the reset that the connection needs.
func (c *Conn) script(rollback bool) *resetScript {
	refused := c.dialer.refusals.steps.Load()
	auth := c.Reauthorized()
	forget := c.prepared || c.unseen && c.cache != CacheNamed // which has nothing to lose
	looks := c.unseen && !forget
	switch {
	case refused != 0 || auth || forget || looks:
		return newScript(refused, rollback, auth, forget, looks, c.baseline.sql)
	case c.baseline.sql != "":
		kept := &c.baseline.script[0]
		if rollback {
			kept = &c.baseline.script[1]
		}
		if *kept == nil {
			*kept = newScript(0, rollback, false, false, false, c.baseline.sql)
		}
		return *kept
	case rollback:
		return usualRollback
	}
	return usualReset
}

// appendLook appends a query that finds out whether PREPARE has run unseen. It is prepared, so that it finds
// out about DEALLOCATE ALL as well; and planned each time it would take 96 us instead of 12.
func (c *Conn) appendLook(dst []byte) []byte {
	kept := c.statements
	if kept.look == nil {
		name := kept.NewName()
		dst = wire.AppendParse(dst, name, lookSQL, nil)
		kept.look = wire.AppendSync(wire.AppendExecute(wire.AppendBindNothing(nil, name)))
	}
	return append(dst, kept.look...)
}

// resetCommands reset the connection by statements that are prepared and never evicted. Parsed each time, they
// would take 18 us more than the 14 us of the reset.
type resetCommands struct {
	run     []byte   // runs all of them; nil before they are prepared
	begin   int      // how many bytes of it run the BEGIN it starts with
	texts   []string // what it runs; kept while answers may be to come
	without uint32   // the steps it leaves out
}

// prepareReset appends what prepares resetCommands without the steps that are refused, if that has to be done.
func (s *Statements) prepareReset(dst []byte, refused uint32, baseline string) []byte {
	commands := &s.resetCommands
	if commands.run != nil && commands.without == refused {
		return dst
	}
	*commands = resetCommands{texts: commands.texts[:0], without: refused}
	add := func(sql string) {
		name := s.NewName()
		dst = wire.AppendParse(dst, name, sql, nil)
		commands.run = wire.AppendExecute(wire.AppendBindNothing(commands.run, name))
		commands.texts = append(commands.texts, sql)
	}
	add("BEGIN")
	commands.begin = len(commands.run)
	for i, sql := range resetSteps {
		if refused&(1<<i) == 0 {
			add(sql)
		}
	}
	if baseline != "" {
		add(baseline)
	}
	add("COMMIT")
	return dst
}

// refusals are the steps of a reset that the server does not let the role run, or does not know.
// They are left out from then on: a new connection would be refused them as well.
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

// Incomplete reports whether the reset between requests leaves a step out.
func (c *Conn) Incomplete() bool {
	return c.resetMode == ResetFull && c.dialer.refusals.steps.Load() != 0
}
