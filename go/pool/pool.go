package pool

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"hypern/go/wire"
)

// Pool keeps the connections of one alias.
type Pool struct {
	config  *Config
	pgconn  *pgconn.Config
	plans   plans
	servers servers
	pooler  pooler
	// refusals outlive connections: they are the server's word on the role.
	refusals refusals

	mu      sync.Mutex // guards all below; no I/O and no Holder is called under it
	all     map[*Conn]struct{}
	idle    []*Conn // last in, first out: the warmest connection serves
	queue   []*Waiter
	dialing int
	// abandoned counts the connections among all that are being closed in the background, and winding
	// waits for them.
	abandoned int
	winding   sync.WaitGroup
	password  string // the callable's latest answer
	lastErr   string
	outage    outage
	deferral  deferral
	nested    bool // the connection of a nested pool has been made
	growth    growth
	closed    bool
	stop      context.CancelFunc // ends dials under way
	ctx       context.Context
	reaper    *time.Timer

	// cancels bounds the requests to cancel, which outlive ctx: until Close is done they can still end
	// statements on the server.
	cancels     context.Context
	stopCancels context.CancelFunc
}

// New checks the settings and makes a pool without connections.
func New(config *Config) (*Pool, *wire.Fault) {
	pc, err := config.pgconn()
	if err != nil {
		// pgconn's text quotes the connection string with its password masked by guesswork.
		why := err.Error()
		if i := strings.LastIndex(why, "`"); i >= 0 {
			why = strings.TrimPrefix(why[i+1:], ": ")
		}
		return nil, &wire.Fault{Kind: wire.KindConfiguration, Message: "the connection settings are refused: " + why}
	}
	p := &Pool{config: config, pgconn: pc, all: make(map[*Conn]struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.cancels, p.stopCancels = context.WithCancel(context.Background())
	return p, nil
}

// Config is the pool's settings.
func (p *Pool) Config() *Config { return p.config }

// ClosedFault is what callers of a closed pool get.
func (p *Pool) ClosedFault() *wire.Fault {
	return &wire.Fault{Kind: wire.KindPoolClosed, Message: fmt.Sprintf(
		"the pool of alias %q was closed; Database.configure() opens it anew", p.config.Alias)}
}

// NeedsPassword tells whether an acquire now may dial with a password that a callable gives.
func (p *Pool) NeedsPassword() bool {
	if !p.config.CallablePassword {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.closed && len(p.idle) == 0 && p.room()
}

// SetPassword keeps the callable's answer for this and for background dials.
func (p *Pool) SetPassword(password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.password = password
}

// room: called with mu held.
func (p *Pool) room() bool { return len(p.all)+p.dialing < p.config.MaxSize }

// Acquire takes an idle connection for holder at once, or returns a Waiter to poll for. The caller
// settles the connection (Conn.Settle) before it uses it, and resets it if it is Unreset. home: who
// will wait, see PassOn.
func (p *Pool) Acquire(holder Holder, home uint64) (*Conn, *Waiter, *wire.Fault) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, p.ClosedFault()
	}
	if fault := p.shared(); fault != nil {
		p.mu.Unlock()
		return nil, nil, fault
	}
	if n := len(p.idle); n > 0 && len(p.queue) == 0 {
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		c.holder, c.heldSince = holder, Now()
		p.deferral.brisk = !c.Fresh && c.heldSince.Sub(c.idleSince) < briskGap
		p.mu.Unlock()
		return c, nil, nil
	}
	defer p.mu.Unlock()
	event, err := NewEvent()
	if err != nil {
		return nil, nil, &wire.Fault{Kind: wire.KindOperational, Message: "no descriptor to wait on: " + err.Error(), SafeToRetry: true}
	}
	w := &Waiter{pool: p, holder: holder, home: home, event: event, since: Now(), granted: p.growth.granted}
	p.queue = append(p.queue, w)
	p.serve()
	return nil, w, nil
}

// Release takes a held connection back. One that is broken, killed, expired or left in an unknown
// state is closed; else the first waiter gets it, or it becomes idle.
func (p *Pool) Release(c *Conn) {
	now := Now()
	p.mu.Lock()
	c.holder, c.Fresh = nil, false
	if p.keeps(c, now) && !c.Unreset {
		c.idleSince = now
		p.idle = append(p.idle, c)
		p.serve()
		p.mu.Unlock()
		return
	}
	if (c.running || c.Cancelling()) && !p.closed {
		p.abandon(c)
		p.mu.Unlock()
		return
	}
	p.forget(c)
	p.serve()
	p.mu.Unlock()
	c.close()
}

// keeps: called with mu held.
func (p *Pool) keeps(c *Conn, now Moment) bool {
	return !c.broken && c.killed.Load() == nil && !p.closed &&
		!c.expired(now) && !c.Cancelling()
}

// give hands c to the first in the queue. Called with mu held.
func (p *Pool) give(c *Conn, now Moment) { p.grant(c, now).event.Set() }

// grant is give for a waiter whom the caller tells. Called with mu held.
func (p *Pool) grant(c *Conn, now Moment) *Waiter {
	w := p.popWaiter()
	c.holder, c.heldSince, c.waiter = w.holder, now, w
	p.deferral.brisk = !c.Fresh
	w.conn, w.over = c, true
	p.growth.granted++
	return w
}

// forget: called with mu held; the caller closes c.
func (p *Pool) forget(c *Conn) { delete(p.all, c) }

// serve hands idle connections to waiters in order and dials for the rest. Called with mu held.
func (p *Pool) serve() {
	for fault := p.shared(); fault != nil && len(p.queue) > 0; {
		p.popWaiter().finish(fault)
	}
	for len(p.queue) > 0 && len(p.idle) > 0 {
		n := len(p.idle) - 1
		c := p.idle[n]
		p.idle[n] = nil
		p.idle = p.idle[:n]
		p.give(c, Now())
	}
	if p.dialing < len(p.queue) && p.mayDial() {
		for wanted := p.dialsWanted(); p.dialing < wanted && p.mayDial(); {
			p.startDial()
		}
	}
	if p.dialing == 0 && p.holdsBack() {
		p.tellWaiters()
	}
	p.tend()
}

// mayDial: called with mu held.
func (p *Pool) mayDial() bool {
	return !p.closed && p.room() && !p.holdsBack()
}

// holdsBack tells whether an outage does; without one no clock is read. Called with mu held.
func (p *Pool) holdsBack() bool { return p.outage.since != 0 && p.outage.holdsBack(Now(), p.dialing) }

// tellWaiters ends all waits for a server that never was there, or has been away too long. Called
// with mu held.
func (p *Pool) tellWaiters() {
	if p.outage.bears(Now(), len(p.all)) {
		return
	}
	for len(p.queue) > 0 {
		fault := *p.outage.fault
		p.popWaiter().finish(&fault)
	}
	if !p.outage.known {
		p.outage.end(false) // whoever comes next has a dial of his own
	}
}

// retry dials again for those who wait.
func (p *Pool) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve()
}

// popWaiter: called with mu held.
func (p *Pool) popWaiter() *Waiter {
	w := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return w
}

// startDial: called with mu held.
func (p *Pool) startDial() {
	p.dialing++
	began := Now()
	Go(func() {
		c, err := p.dial(p.ctx)
		p.mu.Lock()
		p.dialing--
		defer p.mu.Unlock()
		switch {
		case err != nil:
			fault := p.connectFault(err)
			p.lastErr = fault.Error()
			if !p.closed && refusal(err) {
				p.outage.refused(fault, Now(), p.retry)
			} else if len(p.queue) > 0 {
				p.popWaiter().finish(fault)
			}
		case p.closed:
			c.close()
		default:
			p.all[c] = struct{}{}
			c.idleSince = Now()
			p.growth.took(c.idleSince.Sub(began))
			p.idle = append(p.idle, c)
			p.lastErr, p.nested = "", p.config.Nested != 0
			p.outage.end(true)
		}
		if !p.closed {
			p.serve()
		}
	})
}

// Close ends the pool: waiters and later callers get PoolClosed, idle connections are closed, those
// in use are cancelled and shut down under their holders. done is called when nothing is left to do.
func (p *Pool) Close(done func()) {
	why := p.ClosedFault()
	p.plans.clear()
	p.mu.Lock()
	p.closed = true
	p.stop()
	p.outage.end(false)
	if p.reaper != nil {
		p.reaper.Stop()
	}
	if p.deferral.timer != nil {
		p.deferral.timer.Stop()
	}
	p.growth.end()
	for len(p.queue) > 0 {
		p.popWaiter().finish(why)
	}
	idle := p.idle
	p.idle = nil
	for _, c := range idle {
		p.forget(c)
	}
	held := make([]*Conn, 0, len(p.all))
	for c := range p.all {
		if !c.abandoned {
			held = append(held, c)
		}
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	Go(func() {
		defer done()
		var group errgroup.Group
		for _, c := range held {
			group.Go(func() error {
				defer recoverPoison()
				c.Condemn(why) // first, so that whatever ends the statement reports this
				finished := make(chan struct{})
				c.Cancel(func() { close(finished) })
				<-finished
				c.Kill(why)
				return nil
			})
		}
		_ = group.Wait() // the functions return no error
		p.winding.Wait()
		p.stopCancels()
	})
}
