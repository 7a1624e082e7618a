package sqltext

import "strings"

// Settings is what a text does to the settings that statements are parsed under.
type Settings uint8

const (
	// Unchanged settings: the text sets nothing, or nothing that parsing looks at.
	Unchanged Settings = iota
	// Set for the session: the text alone tells to what.
	Set
	// SetLocal is Set until the transaction ends.
	SetLocal
	// Unknown settings: to what they are set the text does not tell.
	Unknown
)

// Effect is what a statement's text tells about its own reuse and that of others.
type Effect struct {
	Settings Settings
	// Volatile: a literal is evaluated while the text is parsed, and its value changes with time, as
	// 'now' or 'users'::regclass, or may do so, as one with escapes.
	Volatile bool
	// Executes: it runs a statement that was prepared by SQL.
	Executes bool
}

// Reported tells whether the server reports each change of a setting, as ParameterStatus.
type Reported func(setting string) bool

// Examine reads a text's effect. It looks at the words alone, so that it sees a change of settings
// where there may be one.
func Examine(text string, reported Reported) Effect {
	s := NewScanner(text)
	first := s.Next()
	for first.Is("(") || first.Is(";") {
		first = s.Next()
	}
	var e Effect
	switch {
	case first.Is("set"):
		e.Settings = examineSet(s)
		return e
	case first.Is("reset"):
		if name := setting(s, s.Next()); !IsIndifferent(name) {
			e.Settings = Set
		}
		return e
	case first.Is("execute"):
		e.Executes = true
	}
	hasString, hasReg, updates, pgSettings := false, false, false, false
	for t := first; t.Kind != End; {
		next := s.Next()
		switch t.Kind {
		case String:
			hasString = true
			for ; next.Kind == String; next = s.Next() { // on lines of their own they are one
				t.Text += next.Text
				t.Escaped = t.Escaped || next.Escaped
			}
			e.Volatile = e.Volatile || t.Escaped || isTimeDependent(t.Text)
		case Word, Quoted:
			switch {
			case t.Text == "set_config":
				if !setsIndifferent(s, next, reported) {
					e.Settings = Unknown
				}
			case isRegType(t.Text):
				hasReg = true
			case t.Text == "update":
				updates = true
			case t.Text == "pg_settings":
				pgSettings = true
			}
		}
		t = next
	}
	e.Volatile = e.Volatile || hasString && hasReg
	if updates && pgSettings { // which calls set_config
		e.Settings = Unknown
	}
	return e
}

// examineSet reads what follows SET.
func examineSet(s *Scanner) Settings {
	kind := Set
	t := s.Next()
	switch {
	case t.Is("local"):
		kind = SetLocal
		t = s.Next()
	case t.Is("session"):
		t = s.Next()
		if t.Is("characteristics") { // AS TRANSACTION
			return Unchanged
		}
	}
	switch {
	case t.Is("transaction"), t.Is("constraints"):
		return Unchanged
	case IsIndifferent(setting(s, t)):
		return Unchanged
	}
	return kind
}

// setting is the name of a setting that begins with t: "a.b" for one of an extension's or a user's
// own.
func setting(s *Scanner, t Token) string {
	if t.Kind != Word && t.Kind != Quoted {
		return ""
	}
	name := lower(t.Text)
	before := s.at
	for s.Next().Is(".") {
		name += "." + lower(s.Next().Text)
		before = s.at
	}
	s.at = before
	return name
}

// setsIndifferent tells whether the arguments of set_config, which begin with open, name a setting
// that parsing does not look at, or one whose change the server reports.
func setsIndifferent(s *Scanner, open Token, reported Reported) bool {
	before := s.at
	name, comma := s.Next(), s.Next()
	s.at = before
	if !open.Is("(") || name.Kind != String || !comma.Is(",") {
		return false
	}
	setting := lower(name.Text)
	if setting == "client_encoding" {
		return false // what is sent behind it would be stored wrong
	}
	return IsIndifferent(setting) || reported != nil && reported(setting)
}

// IsIndifferent tells whether no statement is parsed otherwise under another value of the setting. A
// user's own settings, whose names have a dot, are read when a statement runs.
func IsIndifferent(setting string) bool {
	if strings.Contains(setting, ".") {
		return true
	}
	switch setting {
	case "application_name", "client_min_messages", "commit_delay", "commit_siblings",
		"constraint_exclusion", "cpu_index_tuple_cost", "cpu_operator_cost", "cpu_tuple_cost",
		"cursor_tuple_fraction", "deadlock_timeout", "effective_cache_size", "effective_io_concurrency",
		"force_parallel_mode", "from_collapse_limit", "gin_fuzzy_search_limit", "hash_mem_multiplier",
		"idle_in_transaction_session_timeout", "idle_session_timeout", "jit", "join_collapse_limit",
		"lock_timeout", "maintenance_work_mem", "max_parallel_workers", "max_parallel_workers_per_gather",
		"parallel_setup_cost", "parallel_tuple_cost", "plan_cache_mode", "random_page_cost",
		"seq_page_cost", "statement_timeout", "synchronous_commit", "temp_buffers",
		"transaction_timeout", "work_mem":
		return true
	}
	for _, prefix := range []string{"enable_", "geqo", "default_transaction_", "jit_", "log_", "min_parallel_", "track_", "transaction_", "vacuum_"} {
		if strings.HasPrefix(setting, prefix) {
			return true
		}
	}
	return false
}

// longestTime bounds what can be dates or times, in an array for instance: longer strings are prose.
const longestTime = 1024

// isTimeDependent tells whether a string may be read as a date or time that depends on when it is
// read, also inside an array or range.
// https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-SPECIAL-VALUES
func isTimeDependent(text string) bool {
	if len(text) > longestTime {
		return false
	}
	for len(text) > 0 {
		start := strings.IndexFunc(text, isLetter)
		if start < 0 {
			return false
		}
		text = text[start:]
		end := strings.IndexFunc(text, func(r rune) bool { return !isLetter(r) })
		if end < 0 {
			end = len(text)
		}
		switch strings.ToLower(text[:end]) {
		case "now", "today", "tomorrow", "yesterday":
			return true
		}
		text = text[end:]
	}
	return false
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// isRegType tells whether a word is a type whose constants name an object of the catalog: the server
// looks it up once, while it parses the statement.
// https://www.postgresql.org/docs/current/datatype-oid.html
func isRegType(word string) bool {
	switch word {
	case "regclass", "regcollation", "regconfig", "regdatabase", "regdictionary", "regnamespace", "regoper",
		"regoperator", "regproc", "regprocedure", "regrole", "regtype":
		return true
	}
	return false
}
