package connection

import (
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
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
	Pooler         string            `json:"pooler"` // auto, or what is taken for granted
}

// findsPooler reports whether it is to be found out what is between the pool and its server.
func (s *Settings) findsPooler() bool { return s.Pooler == "" || s.Pooler == "auto" }

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

// ownKeywords are those that pgconn does not have.
var ownKeywords = []string{
	"hostaddr", "load_balance_hosts", "keepalives", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
	"ssl_min_protocol_version", "ssl_max_protocol_version", "sslcrl", "sslcrldir",
}

// number is a keyword's whole number; 0 if it is absent or is none.
func (s *Settings) number(keyword string) int {
	n, _ := strconv.Atoi(s.ConnInfo[keyword]) // Python has checked it
	return n
}

// requiresTLS reports whether every connection is encrypted.
func (s *Settings) requiresTLS() bool {
	mode := s.ConnInfo["sslmode"]
	return mode == "require" || strings.HasPrefix(mode, "verify-")
}

var tlsVersions = map[string]uint16{
	"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
}

// limitTLS applies the limits of the version; it is never below 1.2.
func (s *Settings) limitTLS(pc *pgconn.Config) {
	limit := func(t *tls.Config) {
		if t == nil {
			return
		}
		t.MinVersion = max(tls.VersionTLS12, tlsVersions[s.ConnInfo["ssl_min_protocol_version"]])
		t.MaxVersion = tlsVersions[s.ConnInfo["ssl_max_protocol_version"]]
	}
	limit(pc.TLSConfig)
	for _, f := range pc.Fallbacks {
		limit(f.TLSConfig)
	}
}

// pgconn builds the dialer's configuration.
func (s *Settings) pgconn() (*pgconn.Config, error) {
	settings := map[string]string{"target_session_attrs": "any", "sslmode": "prefer"}
	for _, k := range everyKeyword {
		settings[k] = ""
	}
	maps.Copy(settings, s.ConnInfo)
	delete(settings, "connect_timeout") // connect_timeout_ms rules
	for _, k := range ownKeywords {
		delete(settings, k)
	}
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
	s.limitTLS(pc)
	s.checkRevocation(pc)
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
