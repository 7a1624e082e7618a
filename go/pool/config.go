package pool

import (
	"encoding/json"
	"time"

	"hypern/go/connection"
	"hypern/go/wire"
)

// Config is one alias's settings, as Python resolved and checked them. Durations of 0 mean no limit.
type Config struct {
	connection.Settings

	Alias            string `json:"alias"`
	CallablePassword bool   `json:"callable_password"`
	MaxSize          int    `json:"max_size"`
	MinIdle          int    `json:"min_idle"`
	AcquireMS        int64  `json:"acquire_timeout_ms"`
	IdleMS           int64  `json:"idle_timeout_ms"`
	LifetimeMS       int64  `json:"max_lifetime_ms"`
	TestOnAcquire    bool   `json:"test_before_acquire"`
	CommitMS         int64  `json:"commit_timeout_ms"`
	Atomic           bool   `json:"atomic"`            // a session's first statement begins a transaction
	RequiresSettings bool   `json:"requires_settings"` // of its scope, for each statement
	// Replica is where sessions that only read get their connections, a pool of its own that the alias's pool
	// stands in for; nil: there is none.
	Replica       *Config `json:"replica"`
	ReplicaWaitMS int64   `json:"replica_wait_ms"` // how long a replica may take to reach a position
	SQLComments   bool    `json:"sql_comments"`    // the label of a session's scope follows its statements
	// Listen is how the connection that listens is made, where it is made otherwise; or nil.
	Listen *connection.Settings `json:"listen"`
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

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
