package connection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	probeRounds  = 16              // a false verdict has to win a toss in each
	probeTimeout = 3 * time.Second // for a second connection through the pooler, and all its queries
	probePause   = 50 * time.Millisecond
)

// pooler is what stands between a pool and its servers, such as PgBouncer. Where it may give each
// transaction another server, nothing that a session sets or prepares can be relied on.
type pooler struct {
	mu      sync.Mutex // guards all below, and is held while the pooler is probed
	asked   bool
	session bool // a client keeps its server until it disconnects
	refuses bool // statement_timeout as a startup parameter

	verdict atomic.Pointer[string] // what the latest connection found; apart from mu, which a probe holds
}

// What may stand between a pool and its servers.
var (
	noPooler      = "none"
	sessionPooler = "session"
	sharedPooler  = "shared"  // transaction or statement mode
	unknownPooler = "unknown" // the role may not read the number of its server process
)

// Pooler tells what the latest connection found between itself and the server; "" if there was none yet.
func (d *Dialer) Pooler() string {
	if verdict := d.pooler.verdict.Load(); verdict != nil {
		return *verdict
	}
	return ""
}

// errUnknownPID is returned for a server process whose number the role may not read.
var errUnknownPID = errors.New("the number of the server process cannot be read")

// backendPID is the number of the server process that serves pg. It is the one whose key the startup
// handed over, unless a pooler is in between, which hands over a key of its own.
//
// A role may lack the right to call pg_backend_pid(). Then the process is found by its own query, which
// holds a number that no other has.
func backendPID(ctx context.Context, pg *pgconn.PgConn) (string, error) {
	pid, err := queryPID(ctx, pg, pidSQL)
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Severity == "FATAL" {
		return pid, err
	}
	pid, err = queryPID(ctx, pg, fmt.Sprintf("select pid from pg_catalog.pg_stat_activity "+
		"where query operator(pg_catalog.~~) '%%%016x%%'::pg_catalog.text", rand.Uint64()))
	if errors.As(err, &refusal) && refusal.Severity != "FATAL" {
		err = errUnknownPID
	}
	return pid, err
}

func queryPID(ctx context.Context, pg *pgconn.PgConn, sql string) (string, error) {
	row, err := oneRow(ctx, pg, sql)
	if err != nil {
		return "", err
	}
	return row[0], nil
}

// keepsSession reports whether the pooler behind pg is in session mode. That is probed once, for all
// connections of a pool: the mode is a setting of the pooler.
func (p *pooler) keepsSession(ctx context.Context, pg *pgconn.PgConn, config *pgconn.Config) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked {
		p.asked = true
		p.session = probe(ctx, pg, config)
	}
	return p.session
}

// pooled reports whether a pooler is between pg and the server process pid.
func (d *Dialer) pooled(pid string, pg *pgconn.PgConn) bool {
	switch d.settings.Pooler {
	case noPooler:
		return false
	case sessionPooler, sharedPooler:
		return true
	}
	return pid != fmt.Sprint(pg.PID())
}

// keepsSession reports whether the pooler gives each client a server of its own.
func (d *Dialer) keepsSession(ctx context.Context, pg *pgconn.PgConn, config *pgconn.Config) bool {
	switch d.settings.Pooler {
	case sessionPooler:
		return true
	case sharedPooler:
		return false
	}
	return d.pooler.keepsSession(ctx, pg, config)
}

// probe takes turns with a second connection. In session mode each keeps a server of its own. Else a
// server is free between two queries: the first one free serves both, or their servers change. The
// turns are doubled, so that a pooler that deals its servers out in turn is found out too, and there
// are many, since others may be using the servers. A pooler may be resetting a server behind its answer,
// and give the next client another one meanwhile, each time: so every other change of turns waits until
// that is over. Without proof, it is not session mode: named statements are then merely not used.
func probe(ctx context.Context, first *pgconn.PgConn, config *pgconn.Config) bool {
	ctx, stop := context.WithTimeout(ctx, probeTimeout)
	defer stop()
	second, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return false
	}
	defer func() { _ = second.Close(ctx) }() // it has served its purpose
	seen := map[string]*pgconn.PgConn{}
	own := map[*pgconn.PgConn]string{}
	for round := range probeRounds {
		for turn, pg := range []*pgconn.PgConn{second, second, first, first} {
			began := time.Now()
			pid, err := backendPID(ctx, pg)
			if err != nil {
				return false
			}
			if own[pg] == "" && seen[pid] == nil {
				own[pg], seen[pid] = pid, pg
			}
			if own[pg] != pid || seen[pid] != pg {
				return false
			}
			if round%2 == 1 && turn%2 == 1 {
				// A reset takes about as long as the query did.
				time.Sleep(min(4*time.Since(began)+2*time.Millisecond, probePause))
			}
		}
	}
	return true
}

// connect is pgconn's, and again without a statement_timeout that a pooler refuses. Such a limit is
// kept by the client's clock.
func (d *Dialer) connect(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	d.pooler.mu.Lock()
	if d.pooler.refuses {
		delete(config.RuntimeParams, timeoutParameter)
	}
	d.pooler.mu.Unlock()
	pg, err := pgconn.ConnectConfig(ctx, config)
	var refusal *pgconn.PgError
	if err == nil || config.RuntimeParams[timeoutParameter] == "" || !errors.As(err, &refusal) ||
		!strings.Contains(refusal.Message, timeoutParameter) {
		return pg, err
	}
	d.pooler.mu.Lock()
	d.pooler.refuses = true
	d.pooler.mu.Unlock()
	delete(config.RuntimeParams, timeoutParameter)
	return pgconn.ConnectConfig(ctx, config)
}

// mark makes the names of the connection's statements unique. Should a pooler share its servers in spite of
// all, no other connection's statement has such a name.
func (c *Conn) mark() { c.statements.prefix += fmt.Sprintf("%08x_", rand.Uint32()) }

// adapt chooses what the connection can rely on.
func (c *Conn) adapt(ctx context.Context, config *pgconn.Config) error {
	settings := c.dialer.settings
	c.cache, c.resetMode = settings.StatementCache, settings.Reset
	// At startup a pooler hands over a key of its own, not that of the process that serves the connection.
	pid, err := c.identify(ctx)
	if errors.Is(err, errUnknownPID) && !c.dialer.settings.findsPooler() {
		err = nil
	}
	verdict := &noPooler
	switch {
	case errors.Is(err, errUnknownPID):
		// There may be a pooler or not: what follows is right for both. A reset that reaches another
		// server than the one it is meant for does no harm there.
		verdict = &unknownPooler
		c.timeout = millis(settings.StatementMS)
		if c.cache == CacheAuto {
			c.cache = CacheDescribe
		}
	case err != nil:
		return err
	case c.dialer.pooled(pid, c.pg):
		c.timeout = millis(settings.StatementMS) // the pooler may have dropped the startup parameter
		c.mark()
		verdict = &sessionPooler
		if !c.dialer.keepsSession(ctx, c.pg, config) {
			c.shared = true
			verdict = &sharedPooler
			if c.cache == CacheAuto {
				c.cache = CacheDescribe
			}
			if c.resetMode == ResetFull { // it would reach another server than the one it is meant for
				c.resetMode = ResetTransaction
			}
		}
	}
	c.dialer.pooler.verdict.Store(verdict)
	if c.cache == CacheAuto {
		c.cache = CacheNamed
	}
	c.statements.none = c.cache == CacheOff
	if err == nil && !c.dialer.pooled(pid, c.pg) && c.cache != CacheNamed {
		c.direct = true
		c.mark()
	}
	return nil
}
