package pgtest

import (
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/session"
	"hypern/go/wire"
)

// closeTimeout is how long closing a pool may take.
const closeTimeout = 10 * time.Second

// Driver does for a registry what the C extension does: it configures pools, opens sessions, and
// remembers which description a statement's parameters were encoded for.
type Driver struct {
	Registry *session.Registry

	t testing.TB

	mu      sync.Mutex // guards all below
	opened  map[openKey]*session.Session
	aliases []string
	plans   map[planKey]*plan
}

type openKey struct{ request, alias string }

type planKey struct{ alias, sql string }

// NewDriver makes a driver whose pools are closed when the test ends.
func NewDriver(t testing.TB) *Driver {
	d := &Driver{t: t, opened: make(map[openKey]*session.Session), plans: make(map[planKey]*plan)}
	d.Registry = session.NewRegistry()
	t.Cleanup(func() {
		for _, alias := range d.aliases {
			d.Close(alias)
		}
	})
	return d
}

// Configure makes a pool for the alias: five connections at most, no limits, but for what change does.
func (d *Driver) Configure(alias string, conninfo map[string]string, change func(*pool.Config)) {
	d.t.Helper()
	if fault := d.TryConfigure(alias, conninfo, change); fault != nil {
		d.t.Fatalf("configure %s: %v", alias, fault)
	}
}

// TryConfigure is Configure for settings that may be refused.
func (d *Driver) TryConfigure(alias string, conninfo map[string]string, change func(*pool.Config)) *wire.Fault {
	config := pool.Config{
		Alias: alias, MaxSize: 5, AcquireMS: 10_000,
		Settings: connection.Settings{
			ConnInfo: maps.Clone(conninfo), ConnectMS: 10_000,
			StatementCache: connection.CacheAuto, Reset: connection.ResetFull,
		},
	}
	if change != nil {
		change(&config)
	}
	settings, err := json.Marshal(config)
	if err != nil {
		d.t.Fatal(err)
	}
	fault := d.Registry.Configure(settings)
	if fault == nil {
		d.aliases = append(d.aliases, alias)
	}
	return fault
}

// Open is the session of a request and alias, opened if need be.
func (d *Driver) Open(request, alias string) *Session {
	d.t.Helper()
	s, fault := d.TryOpen(request, alias)
	if fault != nil {
		d.t.Fatalf("open %s of %s: %v", alias, request, fault)
	}
	return s
}

// TryOpen is Open for an alias that may be unknown.
func (d *Driver) TryOpen(request, alias string) (*Session, *wire.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := openKey{request, alias}
	core := d.opened[key]
	if core == nil || core.State()&0xff == uint32(abi.StateClosed) {
		var fault *wire.Fault
		if core, fault = d.Registry.Open(request, alias, "", false, ""); fault != nil {
			return nil, fault
		}
		d.opened[key] = core
	}
	return &Session{Core: core, t: d.t, driver: d, alias: alias}, nil
}

// Status is the state of an alias's pool.
func (d *Driver) Status(alias string) pool.Status {
	d.t.Helper()
	p := d.Registry.Pool(alias)
	if p == nil {
		d.t.Fatalf("no pool of alias %s", alias)
	}
	return p.Status()
}

// AwaitStatus polls a pool's state until ok says so: for what a pool does in the background.
func (d *Driver) AwaitStatus(alias string, ok func(pool.Status) bool) {
	d.t.Helper()
	for deadline := time.Now().Add(closeTimeout); ; time.Sleep(2 * time.Millisecond) {
		st := d.Status(alias)
		if ok(st) {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the pool of %s did not come to the awaited state: %+v", alias, st)
		}
	}
}

// Close closes the pool of an alias and waits until that is done. An alias without one is fine.
func (d *Driver) Close(alias string) {
	d.t.Helper()
	done := make(chan struct{})
	if !d.Registry.Close(alias, func() { close(done) }) {
		return
	}
	select {
	case <-done:
	case <-time.After(closeTimeout):
		d.t.Errorf("the pool of %s did not close in time", alias)
	}
}

func (d *Driver) plan(alias, sql string) *plan {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.plans[planKey{alias, sql}]
}

func (d *Driver) remember(alias, sql string, p *plan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plans[planKey{alias, sql}] = p
}
