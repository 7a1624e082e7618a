package connection

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// How a connection keeps prepared statements.
const (
	CacheAuto     = "auto"     // named, unless a pooler in between swaps servers
	CacheNamed    = "named"    // prepared under a name, once per connection
	CacheDescribe = "describe" // parsed each time, the description remembered
	CacheOff      = "off"      // parsed and described each time
)

// What is undone before a connection serves the next request.
const (
	ResetFull        = "full"        // everything a session can set
	ResetTransaction = "transaction" // an open transaction only
	ResetOff         = "off"         // as ResetTransaction; nothing else is sent
)

// Settings are those of an alias's settings that its connections are made by, as Python resolved and checked
// them. Durations of 0 mean no limit.
type Settings struct {
	ConnInfo       map[string]string `json:"conninfo"` // libpq keywords, complete
	ConnectMS      int64             `json:"connect_timeout_ms"`
	KeepaliveSecs  int64             `json:"keepalive_secs"`
	StatementMS    int64             `json:"statement_timeout_ms"`
	StatementCache string            `json:"statement_cache"`
	StatementAgeMS int64             `json:"statement_max_age_ms"`
	Reset          string            `json:"reset"`
}

// timeoutParameter is a startup parameter: RESET ALL keeps such a setting, and erases a SET.
const timeoutParameter = "statement_timeout"

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// everyKeyword lists what pgconn would otherwise take from the environment or the home directory.
// Python has resolved all that: an absent keyword is set to empty, so that this process's
// environment at the time the core was loaded has no influence.
var everyKeyword = []string{
	"passfile", "sslkey", "sslcert", "sslrootcert", "sslpassword", "sslsni", "sslnegotiation",
	"channel_binding", "require_auth", "min_protocol_version", "max_protocol_version",
}

// pgconn builds the dialer's configuration.
func (s *Settings) pgconn() (*pgconn.Config, error) {
	settings := map[string]string{"target_session_attrs": "any", "sslmode": "prefer"}
	for _, k := range everyKeyword {
		settings[k] = ""
	}
	maps.Copy(settings, s.ConnInfo)
	delete(settings, "connect_timeout")    // connect_timeout_ms rules
	delete(settings, "load_balance_hosts") // shuffleHosts follows it
	if name := os.Getenv("PGSERVICE"); name != "" {
		// pgconn always reads the service that its environment names; it gets one that
		// sets nothing, since Python has read the real one.
		path, remove, err := emptyService(name)
		if err != nil {
			return nil, err
		}
		defer remove()
		settings["service"], settings["servicefile"] = name, path
	} else {
		delete(settings, "service")
		delete(settings, "servicefile")
	}
	var text strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s='%s' ", k, quote.Replace(settings[k]))
	}
	pc, err := pgconn.ParseConfig(text.String())
	if err != nil {
		return nil, err
	}
	for _, k := range []string{"application_name", "options", "timezone"} {
		if s.ConnInfo[k] == "" {
			delete(pc.RuntimeParams, k)
		}
	}
	if s.StatementMS > 0 {
		pc.RuntimeParams[timeoutParameter] = fmt.Sprint(s.StatementMS)
	}
	pc.ConnectTimeout = millis(s.ConnectMS)
	pc.MaxProtocolMessageBodyLen = 1 << 20 // no message before the first statement is longer
	return pc, nil
}

func emptyService(name string) (path string, remove func(), err error) {
	f, err := os.CreateTemp("", "hypern-service-*")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.Remove(f.Name()) }
	_, err = fmt.Fprintf(f, "[%s]\n", name)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return f.Name(), remove, err
}
