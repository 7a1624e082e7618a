package session

import (
	"strings"

	"hypern/go/abi"
	"hypern/go/pool"
	"hypern/go/wire"
)

// format is what C needs of a result that it reads as text: abi.InISO, abi.InDigits. Few results are,
// and how the server prints them depends on settings, which are the user's, and the role's and the
// database's before. So they are set for this statement, in the same write. DateStyle keeps its order
// of day and month, and so what the statement itself reads as a date. The settings are local to the
// transaction: outside of one they end with the statement, inside of one they are set back.
type format uint32

const formatFlags = abi.InISO | abi.InDigits

// formatSetting is a setting, the value that it needs, and where its own is kept meanwhile.
type formatSetting struct {
	flag              format
	name, value, kept string
}

var formatSettings = []formatSetting{
	{abi.InISO, "DateStyle", "ISO", "hypern.datestyle"},
	{abi.InDigits, "extra_float_digits", "1", "hypern.extra_float_digits"},
}

// command is an SQL text that sets what the format needs and returns no row, since C takes rows for
// the statement's: sets makes the calls for one setting, none of which returns NULL.
func (f format) command(sets func(formatSetting) []string) string {
	var calls []string
	for _, setting := range formatSettings {
		if f&setting.flag != 0 {
			calls = append(calls, sets(setting)...)
		}
	}
	return "SELECT 1 WHERE " + strings.Join(calls, " IS NULL OR ") + " IS NULL"
}

func setLocal(name, value string) string {
	return "pg_catalog.set_config('" + name + "', " + value + ", true)"
}

func current(name string) string { return "pg_catalog.current_setting('" + name + "')" }

func (f format) set() string {
	return f.command(func(s formatSetting) []string { return []string{setLocal(s.name, "'"+s.value+"'")} })
}

func (f format) keepAndSet() string {
	return f.command(func(s formatSetting) []string {
		return []string{setLocal(s.kept, current(s.name)), setLocal(s.name, "'"+s.value+"'")}
	})
}

func (f format) restore() string {
	return f.command(func(s formatSetting) []string { return []string{setLocal(s.name, current(s.kept))} })
}

// beginFormat appends, ahead of all that belongs to the statement, what sets the format for it. It is
// parsed anew each time: a statement that is not prepared cannot have been forgotten.
func (s *Session) beginFormat(dst []byte, f format, inside bool) []byte {
	if f == 0 {
		return dst
	}
	s.op.preset = true
	sql := f.set()
	if inside {
		sql = f.keepAndSet()
	}
	return appendUnprepared(dst, sql)
}

// endFormat appends, behind the statement, what sets back the settings inside of a transaction.
func endFormat(dst []byte, f format, inside bool) []byte {
	if f == 0 || !inside {
		return dst
	}
	return appendUnprepared(dst, f.restore())
}

func appendUnprepared(dst []byte, sql string) []byte {
	return wire.AppendExecute(wire.AppendBindNothing(wire.AppendParse(dst, "", sql, nil), ""))
}

// skipFormat takes the answer to beginFormat's command off the frames. An error is left there: the
// statement was skipped for it, and has it for its own.
func (s *Session) skipFormat(conn *pool.Conn, ctl []byte) []byte {
	for s.op.preset {
		f, rest, ok, err := wire.Next(ctl)
		if err != nil || !ok {
			break
		}
		if f.Kind == 'E' {
			s.op.preset = false
			break
		}
		switch f.Kind {
		case 'C':
			s.op.preset = false
		case 'S':
			conn.TakeParameter(f.Body)
		}
		ctl = rest
	}
	return ctl
}
