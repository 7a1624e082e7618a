package pool

import (
	"slices"
	"strings"

	"hypern/go/wire"
)

// What a reset says: DISCARD ALL in parts, but for the prepared statements, which are ours, and
// plans, which are worth keeping. https://www.postgresql.org/docs/current/sql-discard.html
//
// The locks go by a prepared statement: planning the SELECT anew would be half the cost of the
// whole. It returns no row, since nobody is there to take it. SESSION AUTHORIZATION looks up a role
// each time, and the server reports it, so that it is reset where it was changed.
const (
	unlockSQL = "SELECT 1 WHERE pg_catalog.pg_advisory_unlock_all() IS NULL"
	authSQL   = ";SET SESSION AUTHORIZATION DEFAULT"
	forgetSQL = ";DEALLOCATE ALL"
)

var (
	resetCommands = []string{"RESET ROLE", "RESET ALL", "CLOSE ALL", "UNLISTEN *", "DISCARD TEMP", "DISCARD SEQUENCES"}
	resetSQL      = strings.Join(resetCommands, ";")
	undoCommands  = slices.Concat([]string{"BEGIN", unlockSQL}, resetCommands, []string{"COMMIT"})
)

// Prepare returns the name that a command of the core's own is prepared under, and appends its Parse
// if it is not yet; no name where statements are not kept.
func (c *Conn) Prepare(dst []byte, sql string) ([]byte, string) {
	if c.Cache != CacheNamed {
		return dst, ""
	}
	if st := c.Statements.Get(sql, nil); st != nil {
		return dst, st.Name
	}
	name := c.Statements.NewName()
	c.Statements.Put(&Statement{SQL: sql, Name: name})
	return wire.AppendParse(dst, name, sql, nil), name
}

// AppendReset appends what the connection needs before it serves someone else: a rollback, and the
// undoing of everything a session can set. Its answer ends with one ReadyForQuery, which is owed from
// now on.
func (c *Conn) AppendReset(dst []byte, rollback, clean bool) []byte {
	text := ""
	if rollback {
		text = "ROLLBACK;"
		c.Statements.rolledBack()
	}
	if clean {
		c.Statements.reset()
		c.Unreset = false
		text += resetSQL
		if c.Reauthorized() {
			text += authSQL
		}
		name := ""
		if !rollback && !c.Prepared { // it cannot run in an aborted transaction
			dst, name = c.Prepare(dst, unlockSQL)
		}
		if name != "" {
			dst = wire.AppendExecute(wire.AppendBindNothing(dst, name))
		} else {
			text += ";" + unlockSQL
		}
		if c.Prepared {
			c.Prepared = false
			c.Statements.Clear()
			text += forgetSQL
		}
	}
	c.Owed++
	return wire.AppendQuery(dst, text)
}

// ResetNow resets a connection that was passed on without. Where that cannot be sent at once, the
// connection is broken, and the answer is false.
func (c *Conn) ResetNow() bool {
	sent := c.SendWhole(c.AppendReset(nil, false, true))
	if !sent {
		c.Break()
	}
	return sent
}

// Undoable tells whether AppendUndo resets all that can have been set here.
func (c *Conn) Undoable() bool {
	return c.Reset == ResetFull && c.Cache == CacheNamed && !c.Prepared && !c.Reauthorized() && !c.Rezoned()
}

// AppendUndo appends the reset of a connection that was passed on without, for a statement to follow
// in the same unit: should the reset fail, the server skips the statement; should the statement fail,
// the reset has been committed. It tells how many commands precede the statement.
func (c *Conn) AppendUndo(dst []byte) ([]byte, int) {
	kept := c.Statements
	if kept.Undo == nil {
		for _, sql := range undoCommands {
			name := kept.NewName()
			dst = wire.AppendParse(dst, name, sql, nil)
			kept.Undo = wire.AppendExecute(wire.AppendBindNothing(kept.Undo, name))
		}
	}
	c.Unreset = false
	kept.reset()
	return append(dst, kept.Undo...), len(undoCommands)
}
