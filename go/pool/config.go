package pool

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hypern/go/wire"
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

// Config is one alias's settings, as Python resolved and checked them. Durations of 0 mean no limit.
type Config struct {
	Alias            string            `json:"alias"`
	ConnInfo         map[string]string `json:"conninfo"` // libpq keywords, complete
	CallablePassword bool              `json:"callable_password"`
	MaxSize          int               `json:"max_size"`
	MinIdle          int               `json:"min_idle"`
	ConnectMS        int64             `json:"connect_timeout_ms"`
	AcquireMS        int64             `json:"acquire_timeout_ms"`
	IdleMS           int64             `json:"idle_timeout_ms"`
	LifetimeMS       int64             `json:"max_lifetime_ms"`
	TestOnAcquire    bool              `json:"test_before_acquire"`
	KeepaliveSecs    int64             `json:"keepalive_secs"`
	StatementMS      int64             `json:"statement_timeout_ms"`
	CommitMS         int64             `json:"commit_timeout_ms"`
	StatementCache   string            `json:"statement_cache"`
	StatementAgeMS   int64             `json:"statement_max_age_ms"`
	Reset            string            `json:"reset"`
	// Nested is the process in which all pools that have it are one, whose sessions take turns on one
	// connection, in a transaction that is never committed. 0: the pool is an ordinary one.
	Nested int `json:"nested"`
}

// ParseConfig reads settings as JSON.
func ParseConfig(data []byte) (*Config, *wire.Fault) {
	c := &Config{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, &wire.Fault{Kind: wire.KindConfiguration, Message: "settings are not readable: " + err.Error()}
	}
	return c, nil
}

// timeoutParameter is a startup parameter: RESET ALL keeps such a setting, and erases a SET.
const timeoutParameter = "statement_timeout"

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// everyKeyword lists what pgconn would otherwise take from the environment or the home directory.
// Python has resolved all that: an absent keyword is set to empty, so that this process's
// environment at the time the core was loaded has no say.
var everyKeyword = []string{
	"passfile", "sslkey", "sslcert", "sslrootcert", "sslpassword", "sslsni", "sslnegotiation",
	"channel_binding", "require_auth", "min_protocol_version", "max_protocol_version",
}

// pgconn builds the dialer's configuration.
func (c *Config) pgconn() (*pgconn.Config, error) {
	settings := map[string]string{"target_session_attrs": "any", "sslmode": "prefer"}
	for _, k := range everyKeyword {
		settings[k] = ""
	}
	maps.Copy(settings, c.ConnInfo)
	delete(settings, "connect_timeout") // connect_timeout_ms rules
	if name := os.Getenv("PGSERVICE"); name != "" {
		// pgconn insists on reading the service that its environment names; it is told one that
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
		if c.ConnInfo[k] == "" {
			delete(pc.RuntimeParams, k)
		}
	}
	if c.StatementMS > 0 {
		pc.RuntimeParams[timeoutParameter] = fmt.Sprint(c.StatementMS)
	}
	pc.ConnectTimeout = millis(c.ConnectMS)
	pc.MaxProtocolMessageBodyLen = 1 << 20 // nothing said before the first statement is longer
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
