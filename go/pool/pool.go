package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"hypern/go/connection"
	"hypern/go/process"
	"hypern/go/wire"
)

// Pool keeps the connections of one alias.
type Pool struct {
	config *Config
	dialer *connection.Dialer
	// replica is the pool for sessions that only read, nil if there is none; isReplica: this is one, and its sessions
	// go elsewhere while its servers are away.
	replica   *Pool
	isReplica bool
	attendant *Attendant
	served    string      // the alias whose pool Python knows: a replica's is that of its primary
	hooked    atomic.Bool // there are on_connect functions

	mu      sync.Mutex // guards all below and the slots; no I/O and no Holder is called under it
	all     map[*connection.Conn]*slot
	idle    []*slot // last in, first out: the warmest connection serves
	queue   []*Waiter
	dialing int
	// abandoned counts the connections among all that are being closed in the background, and winding
	// waits for them.
	abandoned int
	winding   sync.WaitGroup
	newcomers map[string]*slot // which on_connect functions are being called with, by the session's request id
	lastErr   string
	outage    outage
	deferral  deferral
	nested    bool // the connection of a nested pool has been made
	growth    growth
	counts    counts
	closed    bool
	stop      context.CancelFunc // ends dials under way
	ctx       context.Context
	reaper    *time.Timer
}

// New checks the settings and makes a pool without connections.
func New(config *Config, attendant *Attendant) (*Pool, *wire.Fault) {
	dialer, fault := connection.NewDialer(&config.Settings)
	if fault != nil {
		return nil, fault
	}
	p := &Pool{config: config, dialer: dialer, attendant: attendant, served: config.Alias, all: make(map[*connection.Conn]*slot)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	if config.Replica != nil && config.Nested == 0 {
		if p.replica, fault = New(config.Replica, attendant); fault != nil {
			return nil, fault
		}
		p.replica.isReplica, p.replica.served = true, config.Alias
	}
	return p, nil
}

// Replica is the pool for sessions that only read, or nil.
func (p *Pool) Replica() *Pool { return p.replica }

// Config is the pool's settings.
func (p *Pool) Config() *Config { return p.config }

// Closed reports whether Close has been called.
func (p *Pool) Closed() bool { return p.ctx.Err() != nil }

// ClosedFault is what callers of a closed pool get.
func (p *Pool) ClosedFault() *wire.Fault {
	return &wire.Fault{Kind: wire.KindPoolClosed, Message: fmt.Sprintf(
		"the pool of alias %q was closed; Database.configure() opens it anew", p.config.Alias)}
}

// room: called with mu held.
func (p *Pool) room() bool { return len(p.all)+p.dialing < p.config.MaxSize }

// Acquire takes an idle connection for holder at once, or returns a Waiter to poll for. The caller
// settles the connection (Conn.Settle) before it uses it, and resets it if its reset is pending.
func (p *Pool) Acquire(holder Holder) (*connection.Conn, *Waiter, *wire.Fault) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, p.ClosedFault()
	}
	if len(p.newcomers) > 0 {
		if c := p.newcomer(holder.Request()); c != nil {
			c.hold(holder, process.Now())
			p.mu.Unlock()
			return c.conn, nil, nil
		}
	}
	if fault := p.shared(); fault != nil {
		p.mu.Unlock()
		return nil, nil, fault
	}
	if len(p.idle) > 0 && len(p.queue) == 0 {
		c, now := p.popIdle(), process.Now()
		p.deferral.busy = !c.conn.Fresh() && now.Sub(c.since) < busyGap
		c.hold(holder, now)
		p.counts.acquired++
		p.mu.Unlock()
		return c.conn, nil, nil
	}
	defer p.mu.Unlock()
	event, err := process.NewEvent()
	if err != nil {
		return nil, nil, &wire.Fault{Kind: wire.KindOperational, Message: "no descriptor to wait on: " + err.Error(), SafeToRetry: true}
	}
	w := &Waiter{pool: p, holder: holder, event: event, since: process.Now(), before: p.growth.granted}
	p.queue = append(p.queue, w)
	p.counts.waited++
	p.serve()
	return nil, w, nil
}

// Release takes a held connection back. One that is broken, killed, expired or left in an unknown
// state is closed; else the first waiter gets it, or it becomes idle.
func (p *Pool) Release(conn *connection.Conn) {
	now := process.Now()
	p.mu.Lock()
	c := p.all[conn]
	if c == nil {
		p.mu.Unlock()
		p.releaseNewcomer(conn, now)
		return
	}
	if p.keeps(c, now) && !conn.Unreset() {
		p.rest(c, now)
		p.serve()
		p.mu.Unlock()
		return
	}
	c.holder = nil
	p.dropped(c, now)
	if conn.Unfinished() && !p.closed {
		p.abandon(c)
		p.mu.Unlock()
		return
	}
	p.forget(c)
	p.serve()
	p.mu.Unlock()
	conn.Close()
}

// give hands c to the first in the queue. Called with mu held.
func (p *Pool) give(c *slot, now process.Moment) {
	w := p.popWaiter()
	c.waiter = w
	c.hold(w.holder, now)
	p.deferral.busy = !c.conn.Fresh()
	w.granted, w.over = c, true
	w.left()
	p.counts.acquired++
	p.growth.granted++
	w.event.Set()
}

// serve hands idle connections to waiters in order and dials for the rest. Called with mu held.
func (p *Pool) serve() {
	for fault := p.shared(); fault != nil && len(p.queue) > 0; {
		p.popWaiter().finish(fault)
	}
	for len(p.queue) > 0 && len(p.idle) > 0 {
		p.give(p.popIdle(), process.Now())
	}
	if p.dialing < len(p.queue) && p.mayDial() {
		for wanted := p.dialsWanted(); p.dialing < wanted && p.mayDial(); {
			p.startDial()
		}
	}
	if p.holdsBack() && (p.dialing == 0 || p.isReplica) {
		p.failWaiters()
	}
	p.tend()
}

// mayDial: called with mu held.
func (p *Pool) mayDial() bool {
	return !p.closed && p.room() && !p.holdsBack()
}

// holdsBack reports whether an outage does; without one no clock is read. Called with mu held.
func (p *Pool) holdsBack() bool {
	return p.outage.since != 0 && p.outage.holdsBack(process.Now(), p.dialing)
}

// failWaiters ends all waits for a server that never was there, or has been away too long. Called
// with mu held.
func (p *Pool) failWaiters() {
	if !p.isReplica && p.outage.bears(process.Now(), len(p.all)) {
		return
	}
	for len(p.queue) > 0 {
		fault := *p.outage.fault
		p.popWaiter().finish(&fault)
	}
	if !p.outage.known && !p.isReplica {
		p.outage.end(false) // the next caller has a dial of its own
	}
}

// retry dials again for waiters. A replica has none while it is away.
func (p *Pool) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isReplica && p.outage.since != 0 && p.dialing == 0 && p.mayDial() {
		p.startDial()
	}
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
	began := process.Now()
	process.Go(func() {
		conn, err := p.connect()
		p.mu.Lock()
		p.dialing--
		defer p.mu.Unlock()
		switch {
		case err != nil:
			fault := p.dialer.Fault(err)
			p.lastErr = fault.Error()
			if !p.closed {
				p.counts.connectErrors++
			}
			if !p.closed && (p.isReplica || refusal(err)) {
				p.outage.refused(fault, process.Now(), p.retry)
			} else if len(p.queue) > 0 {
				p.popWaiter().finish(fault)
			}
		case p.closed:
			conn.Close()
		default:
			now := process.Now()
			p.growth.took(now.Sub(began))
			p.counts.connects++
			p.counts.connectTime += now.Sub(began)
			p.idle = append(p.idle, p.add(conn, now))
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
	p.dialer.Forget()
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
	held := make([]*connection.Conn, 0, len(p.all))
	for conn, c := range p.all {
		if !c.abandoned {
			held = append(held, conn)
		}
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.conn.Close()
	}
	process.Go(func() {
		defer done()
		var group errgroup.Group
		for _, conn := range held {
			group.Go(func() error {
				defer process.Recover()
				conn.Condemn(why) // first, so that whatever ends the statement reports this
				finished := make(chan struct{})
				conn.Cancel(func() { close(finished) })
				<-finished
				conn.Kill(why)
				return nil
			})
		}
		_ = group.Wait() // the functions return no error
		p.closeReplica()
		p.winding.Wait()
		p.dialer.EndCancels()
	})
}
