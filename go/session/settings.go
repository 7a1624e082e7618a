package session

import (
	"strings"

	"hypern/go/wire"
)

// setting is one of the server's settings as a statement reads it.
type setting struct {
	name, value string
	initial     string // what RESET would make it
}

// settingsSQL reads the settings that a statement may change, with the role and the session's user ahead
// of them: what may be set depends on these; last come settings of the user's own. What belongs to a
// transaction ends with it; temp_buffers can no longer be set once a temporary table was used.
const settingsSQL = `SELECT 'session_authorization', session_user::pg_catalog.text, NULL
UNION ALL SELECT 'role', pg_catalog.current_setting('role'), NULL
UNION ALL SELECT s.name, s.setting, s.reset_val FROM pg_catalog.pg_settings s
WHERE (pg_catalog.texteq(s.context, 'user') OR pg_catalog.texteq(s.context, 'superuser'))
AND pg_catalog.textne(s.name, 'transaction_isolation') AND pg_catalog.textne(s.name, 'transaction_read_only')
AND pg_catalog.textne(s.name, 'transaction_deferrable') AND pg_catalog.textne(s.name, 'temp_buffers')
UNION ALL SELECT n, pg_catalog.current_setting(n, true), '' FROM pg_catalog.unnest($1::pg_catalog.text[]) n`

// setBackSQL sets a setting, and returns no row.
const setBackSQL = "SELECT 1 WHERE pg_catalog.set_config($1, $2, false) IS NULL"

// appendSettings appends what reads the settings. custom: settings of the user's own, which the server
// does not list.
func appendSettings(dst []byte, custom []string) []byte {
	dst = wire.AppendParse(dst, "", settingsSQL, nil)
	dst = wire.AppendBindText(dst, "", "{"+strings.Join(custom, ",")+"}")
	return wire.AppendExecute(dst)
}

func readSettings(rows [][]string) []setting {
	settings := make([]setting, 0, len(rows))
	for _, row := range rows {
		if len(row) == 3 {
			settings = append(settings, setting{row[0], row[1], row[2]})
		}
	}
	return settings
}

// changed lists what has to be set for the settings to be as before. One that there was not yet is one
// of the user's own, which cannot be removed but emptied, or an extension's that was loaded meanwhile.
func changed(before, now []setting) []setting {
	old := make(map[string]string, len(before))
	for _, s := range before {
		old[s.name] = s.value
	}
	var list []setting
	for _, s := range now {
		value, known := old[s.name]
		if !known {
			value = s.initial
		}
		// SET SESSION AUTHORIZATION takes the role back, too.
		if value != s.value || s.name == "role" && len(list) > 0 {
			list = append(list, setting{name: s.name, value: value})
		}
	}
	return list
}
