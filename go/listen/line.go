package listen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/process"
	"hypern/go/wire"
)

const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
	// probeAfter is how long a connection is silent before it is tested, by a query.
	probeAfter = 30 * time.Second
	// answerTime bounds the answer to a query.
	answerTime = 10 * time.Second
)

// applicationName is what pg_stat_activity shows.
const applicationName = "hypern listen"

// line is the connection of one pool that listens, and what is wanted of it.
type line struct {
	hub   *Hub
	pool  *pool.Pool
	alias string
	ctx   context.Context
	stop  context.CancelFunc
	ended chan struct{}

	// Guarded by the hub's mu.
	serial   int64
	channels []string
	changed  chan struct{} // of one place: serial is another one

	// The goroutine's own.
	pg      *pgconn.PgConn
	has     []string // the channels that the server's side listens to
	settled int64    // the serial that was reported, as ready or as refused
	worked  bool     // there has been a connection
	back    bool     // KindBack is to come before anything that this connection brings
}

func newLine(h *Hub, p *pool.Pool) *line {
	l := &line{hub: h, pool: p, alias: p.Config().Alias, ended: make(chan struct{}), changed: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// want: called with the hub's mu held.
func (l *line) want(serial int64, channels []string) {
	l.serial, l.channels = serial, channels
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *line) wanted() (int64, []string) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	return l.serial, slices.Clone(l.channels)
}

// finished takes the line out of the hub if nothing is wanted of it.
func (l *line) finished() bool {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if l.ctx.Err() != nil {
		return true
	}
	if len(l.channels) > 0 {
		return false
	}
	if l.hub.lines[l.alias] == l {
		delete(l.hub.lines, l.alias)
	}
	l.stop()
	return true
}

func (l *line) run() {
	defer close(l.ended)
	defer l.hangUp()
	backoff := backoffFirst
	for !l.finished() {
		err := l.connect()
		if err == nil {
			backoff = backoffFirst
			err = l.serve()
		}
		l.hangUp()
		if err == nil || l.ctx.Err() != nil {
			continue // nothing is wanted, or the pool was closed
		}
		l.fail(err)
		select { // jitter, so that processes that lost the same server do not come back together
		case <-l.ctx.Done():
		case <-l.changed:
		case <-time.After(backoff/2 + rand.N(backoff)):
		}
		backoff = min(2*backoff, backoffMax)
	}
}

func (l *line) hangUp() {
	if l.pg == nil {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_ = l.pg.Close(ctx) // it is closed whatever the server says to that
	l.pg, l.has = nil, nil
}

// fail reports why the channels that are wanted are not listened to, to those who wait for it.
func (l *line) fail(err error) {
	serial, _ := l.wanted()
	l.hub.report(l, Event{Alias: l.alias, Kind: KindFailed, Serial: serial, Fault: l.fault(err)})
}

func (l *line) fault(err error) *wire.Fault {
	dialer, fault := connection.NewDialer(l.settings())
	if fault == nil {
		fault = dialer.Fault(err)
	}
	return fault
}

func (l *line) settings() *connection.Settings {
	if own := l.pool.Config().Listen; own != nil {
		return own
	}
	return &l.pool.Config().Settings
}

// connect makes the connection, and reports that it is another one.
func (l *line) connect() error {
	password, err := l.pool.Password(l.ctx)
	if err != nil {
		return err
	}
	dialer, fault := connection.NewDialer(l.settings())
	if fault != nil {
		return fault
	}
	defer dialer.EndCancels()
	pg, shared, err := dialer.DialListener(l.ctx, password, applicationName, l.notified)
	if err != nil {
		return err
	}
	l.pg, l.back = pg, l.worked
	if shared {
		return &wire.Fault{Kind: wire.KindNotSupported, SafeToRetry: true, Message: fmt.Sprintf(
			"alias %q leads to a pooler that shares its servers, behind which LISTEN is not available: "+
				"give Database.configure() the server's own address as listen_url=", l.alias)}
	}
	if err := l.agree(); err != nil {
		return err
	}
	l.worked = true
	return nil
}

func (l *line) notified(_ *pgconn.PgConn, n *pgconn.Notification) {
	l.reportBack()
	l.hub.report(l, Event{Alias: l.alias, Kind: KindNotified, Channel: n.Channel, Payload: n.Payload, PID: n.PID})
}

// reportBack reports, once for a connection that replaces another, that notifications may have been missed.
func (l *line) reportBack() {
	if l.back {
		l.back = false
		l.hub.report(l, Event{Alias: l.alias, Kind: KindBack})
	}
}

// serve reads until nothing is wanted any more (nil) or the connection has ended.
func (l *line) serve() error {
	for {
		if err := l.agree(); err != nil {
			return err
		}
		if l.finished() {
			return nil
		}
		silent, err := l.wait()
		if err != nil {
			return err
		}
		if silent {
			if err := l.execute("SELECT 1"); err != nil {
				return err
			}
		}
	}
}

// wait reads until other channels are wanted, or nothing has come for probeAfter (silent).
func (l *line) wait() (silent bool, err error) {
	ctx, stop := context.WithTimeout(l.ctx, probeAfter)
	defer stop()
	over := make(chan struct{})
	watching := make(chan struct{})
	process.Go(func() {
		defer close(watching)
		select {
		case <-l.changed:
			stop()
		case <-over:
		}
	})
	err = l.pg.WaitForNotification(ctx)
	close(over)
	<-watching
	switch {
	case err == nil:
		return false, nil
	case l.pg.IsClosed():
		return false, err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return true, nil
	case ctx.Err() != nil:
		return false, l.ctx.Err()
	}
	return false, err
}

// agree has the server listen to what is wanted, and nothing else.
func (l *line) agree() error {
	serial, wanted := l.wanted()
	if serial == l.settled && l.has != nil {
		return nil
	}
	commands := append(without("LISTEN ", wanted, l.has), without("UNLISTEN ", l.has, wanted)...)
	if len(commands) > 0 {
		err := l.execute(strings.Join(commands, ";"))
		var refused *pgconn.PgError
		if l.has != nil && errors.As(err, &refused) && !l.pg.IsClosed() {
			l.settled = serial // none of the commands has had an effect; the other listeners keep their connection
			l.fail(err)
			return nil
		}
		if err != nil {
			return err
		}
	}
	l.reportBack() // ahead of KindReady: those who join now have missed nothing
	l.has, l.settled = append([]string{}, wanted...), serial
	l.hub.report(l, Event{Alias: l.alias, Kind: KindReady, Serial: serial})
	return nil
}

func (l *line) execute(sql string) error {
	ctx, stop := context.WithTimeout(l.ctx, answerTime)
	defer stop()
	_, err := l.pg.Exec(ctx, sql).ReadAll()
	return err
}

// without is a command for each of the channels that is none of the others. There may be thousands.
func without(command string, channels, others []string) []string {
	known := make(map[string]bool, len(others))
	for _, channel := range others {
		known[channel] = true
	}
	var commands []string
	for _, channel := range channels {
		if !known[channel] {
			commands = append(commands, command+quoted(channel))
		}
	}
	return commands
}

func quoted(channel string) string {
	return `"` + strings.ReplaceAll(channel, `"`, `""`) + `"`
}
