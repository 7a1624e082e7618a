package session

import (
	"strings"

	"hypern/go/abi"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// format is what C needs of a result that it reads as text: abi.InISO, abi.InDigits. Few results are,
// and how the server prints them depends on settings, which are the user's, and the role's and the
// database's before. Where those will not do they are set for the printing, in the same write. DateStyle
// keeps its order of day and month, and so what is read as a date.
//
// The statement runs ahead of that, as far as the server lets it: MOVE 0 has a portal of INSERT, UPDATE,
// DELETE, MERGE, CALL or EXECUTE run to its end, rows kept, none printed. So these store what they store
// under the user's settings. A SELECT runs while its rows are fetched, under the settings for printing.
//
// The settings are local to the transaction: outside of one they end with the statement, inside of one
// they are set back, unless the statement itself has changed them meanwhile.
type format uint32

const formatFlags = abi.InISO | abi.InDigits

// formatPortal is the statement's own name while MOVE needs one; a stream has its own.
const formatPortal = "hypern_format"

// formatCommands precede the statement's Execute: MOVE, and what sets the format.
const formatCommands = 2

// formatSetting is a setting, the value it is given, and where its own is kept meanwhile: "" where that
// would do. What would do is for the server to say: a function may have set it unseen.
type formatSetting struct {
	flag              format
	name, value, kept string
	unfit             string // whether the present value would not do
	ours              string // whether the present value is the one given
}

var formatSettings = []formatSetting{
	{
		abi.InISO, "DateStyle", "ISO", keptDateStyle,
		"pg_catalog.textne(pg_catalog.left(" + current("DateStyle") + ", 3), 'ISO')",
		"pg_catalog.texteq(" + current("DateStyle") + ", pg_catalog.concat('ISO, ', pg_catalog.split_part(" +
			current(keptDateStyle) + ", ', ', 2)))",
	},
	{
		abi.InDigits, "extra_float_digits", "1", keptDigits,
		"pg_catalog.int4lt(" + current("extra_float_digits") + "::pg_catalog.int4, 1)",
		"pg_catalog.texteq(" + current("extra_float_digits") + ", '1')",
	},
}

const (
	keptDateStyle = "hypern.datestyle"
	keptDigits    = "hypern.extra_float_digits"
)

func setLocal(name, value string) string {
	return "pg_catalog.set_config('" + name + "', " + value + ", true) IS NULL"
}

func current(name string) string { return "pg_catalog.current_setting('" + name + "')" }

// set gives the setting its value where that is needed.
func (s formatSetting) set() string {
	return "CASE WHEN " + s.unfit + " THEN " + setLocal(s.name, "'"+s.value+"'") + " ELSE false END"
}

// keepAndSet is set where the transaction goes on.
func (s formatSetting) keepAndSet() string {
	return "CASE WHEN " + s.unfit + " THEN " + setLocal(s.kept, current(s.name)) + " OR " +
		setLocal(s.name, "'"+s.value+"'") + " ELSE " + setLocal(s.kept, "''") + " END"
}

// restore undoes keepAndSet, but not what the statement has set.
func (s formatSetting) restore() string {
	return "CASE WHEN pg_catalog.textne(" + current(s.kept) + ", '') THEN CASE WHEN " + s.ours + " THEN " +
		setLocal(s.name, current(s.kept)) + " ELSE false END ELSE false END"
}

// command is an SQL text of a term for each setting that the format needs. No term is true, so that it
// returns no row: C takes rows for the statement's.
func (f format) command(term func(formatSetting) string) string {
	var terms []string
	for _, setting := range formatSettings {
		if f&setting.flag != 0 {
			terms = append(terms, term(setting))
		}
	}
	return "SELECT 1 WHERE " + strings.Join(terms, " OR ")
}

// lacks is what of the format the server may not print by itself. A CALL outside of a transaction, whose
// procedure may commit, can do so only where nothing is sent along: for it what is not known is hoped for.
//
// undoes: a rollback is sent ahead of the statement.
func (s *Session) lacks(f format, sql string, inside, undoes bool) format {
	if f == 0 {
		return 0
	}
	conn := s.conn
	hopes := !inside && sqltext.NewScanner(sql).Next().Is("call")
	// A reset ahead of the statement, or a rollback, changes what is known.
	resets := conn.ResetPrecedes()
	undoes = undoes || resets
	if conn.PrintsISO(resets) && (hopes || !conn.Shared() && !undoes) {
		f &^= abi.InISO
	}
	if prints, sure := conn.PrintsDigits(); prints && (hopes || sure && !undoes) {
		f &^= abi.InDigits
	}
	return f
}

// beginFormat appends, right ahead of the Execute of the statement's portal, what sets the format for it.
func beginFormat(dst []byte, f format, portal string, inside bool) []byte {
	if f == 0 {
		return dst
	}
	return appendFormat(appendCommand(dst, "MOVE 0 FROM "+portal), f, inside)
}

func appendFormat(dst []byte, f format, inside bool) []byte {
	term := formatSetting.set
	if inside {
		term = formatSetting.keepAndSet
	}
	return appendCommand(dst, f.command(term))
}

// endFormat appends, behind the statement, what sets back the settings inside of a transaction.
func endFormat(dst []byte, f format, portal string, inside bool) []byte {
	if f == 0 || !inside {
		return dst
	}
	if portal == formatPortal {
		dst = wire.AppendClose(dst, 'P', portal) // else it stays to the transaction's end
	}
	return appendCommand(dst, f.command(formatSetting.restore))
}

// sets tells the answer which commands set the format: skip of them behind the first ahead ones, and all
// behind the one that follows, the statement.
func (a *answer) sets(f format, ahead, skip int) { a.format, a.ahead, a.skip = f, ahead, skip }

// formats tells whether a command that has completed is one that sets the format, or sets it back.
func (a *answer) formats() bool {
	switch {
	case a.commands < a.ahead:
		return false
	case a.skip > 0:
		a.skip--
		return true
	}
	return a.commands > a.ahead
}

const commitHint = "A procedure that commits and returns a composite that holds money and the like can be " +
	"called where the role or the connection's options set DateStyle to ISO and extra_float_digits to 1."

// hintCommit says in the fault's hint why a procedure cannot commit: MOVE runs it as if from a function.
func (p *preparation) hintCommit(s *Session) {
	got := &s.op.got
	alone := !p.inside && s.op.prefix == 0
	if alone && got.format != 0 && got.fault.SQLState == "2D000" { // invalid_transaction_termination
		got.fault = withHint(got.fault, commitHint)
	}
}
