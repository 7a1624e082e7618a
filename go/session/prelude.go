package session

import (
	"slices"

	"hypern/go/connection"
	"hypern/go/wire"
)

// prelude is what precedes the next statement in the same write, behind the connection's deferred reset
// (Conn.AppendResetAhead): BEGIN, what is set for its transaction, savepoints. It outlives a connection that
// has ended before any of it was sent.
type prelude struct {
	pending []command
	sent    []command // ahead of the last statement
}

// command is one of the core's own. It returns no row: C takes rows for the statement's.
type command struct {
	sql       string
	values    []string              // of its parameters
	isEncoded bool                  // C encodes or decodes by what it sets
	local     *connection.Statement // stands for it where it changes what statements are parsed under; else nil
}

// begin makes a BEGIN the first of what is pending.
func (p *prelude) begin(sql string) { p.pending = append(p.pending[:0], command{sql: sql}) }

func (p *prelude) add(sql string) { p.pending = append(p.pending, command{sql: sql}) }

// clear drops what is pending.
func (p *prelude) clear() { p.pending = p.pending[:0] }

// repeat makes what was sent last pending once more, behind what is pending.
func (p *prelude) repeat() { p.pending = append(p.pending, p.sent...) }

// local stands for pending settings that change what statements are parsed under; nil: there are none.
func (p *prelude) local() *connection.Statement {
	for i := len(p.pending) - 1; i >= 0; i-- {
		if local := p.pending[i].local; local != nil {
			return local
		}
	}
	return nil
}

// encodes returns whether C encodes or decodes by pending settings.
func (p *prelude) encodes() bool {
	return slices.ContainsFunc(p.pending, func(c command) bool { return c.isEncoded })
}

// unsend drops a command that is pending, with all that follows it. It returns false if that has been sent.
func (p *prelude) unsend(sql string) bool {
	i := slices.IndexFunc(p.pending, func(c command) bool { return c.sql == sql })
	if i < 0 {
		return false
	}
	p.pending = p.pending[:i]
	return true
}

// undoes returns whether a ROLLBACK was sent ahead of the last statement.
func (p *prelude) undoes() bool {
	return slices.ContainsFunc(p.sent, func(c command) bool { return c.sql == "ROLLBACK" })
}

// sendPrelude appends what precedes the next statement: a pending reset, closes, the commands. kept: BEGIN
// may go by a prepared name, since the statement is run anew if that is gone (preparation.stale).
func (s *Session) sendPrelude(dst []byte, kept bool) []byte {
	if s.conn.Unreset() {
		dst = s.conn.AppendResetAhead(dst)
	}
	for _, name := range s.conn.Statements().TakeDropped() {
		dst = wire.AppendClose(dst, 'S', name)
	}
	dst = s.closePortals(dst)
	p := &s.prelude
	s.op.prefix = len(p.pending)
	for i := range p.pending {
		cmd, named := &p.pending[i], false
		if cmd.local != nil {
			s.conn.Statements().Expect(cmd.local)
			s.localAt = uint16(i + 1)
		}
		switch {
		case kept && cmd.sql == "BEGIN":
			dst, named = s.conn.AppendBegin(dst)
		case kept && s.tx.server == 'I' && len(cmd.values) > 0:
			dst, named = s.conn.AppendKept(dst, cmd.sql, cmd.values)
		}
		if !named {
			dst = appendCommand(dst, cmd.sql, cmd.values...)
		}
	}
	p.sent, p.pending = p.pending, p.sent[:0]
	return dst
}

// retrace makes pending what went ahead of the statement, which undoes it and sends it once more.
func (s *Session) retrace() {
	if s.op.got.status != 'I' {
		s.prelude.add("ROLLBACK")
	}
	s.prelude.repeat()
	s.first = nil
	s.tx = s.tx.transition(evBegin, 0)
	s.conn.Statements().Ahead(s.prelude.local(), true)
}

// closePortals appends the closes of streams that have ended.
func (s *Session) closePortals(dst []byte) []byte {
	for _, name := range s.portals {
		dst = wire.AppendClose(dst, 'P', name)
	}
	s.portals = s.portals[:0]
	return dst
}

// closePortalsAhead is closePortals ahead of a Query, which must not follow an extended message that no Sync has
// ended: PostgreSQL puts up with it, Pgpool-II disconnects. It returns how many ReadyForQuery that adds.
func (s *Session) closePortalsAhead(c *Call) int {
	if len(s.portals) == 0 {
		return 0
	}
	c.Head = wire.AppendSync(s.closePortals(c.Head))
	return 1
}

// appendCommand appends a command that shares a unit with what follows: if it fails, the server skips
// that. It has no name, so that it cannot fail for the lack of one.
func appendCommand(dst []byte, sql string, values ...string) []byte {
	dst = wire.AppendParse(dst, "", sql, nil)
	if len(values) == 0 {
		return wire.AppendExecute(wire.AppendBindNothing(dst, ""))
	}
	return wire.AppendExecute(wire.AppendBindText(dst, "", values...))
}
