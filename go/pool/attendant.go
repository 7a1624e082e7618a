package pool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"hypern/go/connection"
	"hypern/go/process"
	"hypern/go/wire"
)

// What a Job is about.
const (
	jobPassword = "password" // the callable's password, for one dial
	jobConnect  = "connect"  // the on_connect functions are to be called, with a session of NewcomerID
)

// Job is the part of a dial that only Python can do. Python's thread takes jobs and settles each by its ticket.
type Job struct {
	Ticket  string  `json:"ticket"`
	Alias   string  `json:"alias"`
	What    string  `json:"what"`
	Session string  `json:"session,omitempty"` // jobConnect: the request id that stands for the new connection
	Seconds float64 `json:"seconds"`           // how long it is waited for; 0: no limit
}

// Attendant passes jobs to Python's thread, which waits on a descriptor, and the results back to the dials. All
// pools of a registry share one. The thread takes one job at a time, and none that nobody waits for any more:
// else a function that is slower than its dials wait would be called for each of them, and never catch up.
type Attendant struct {
	mu      sync.Mutex // guards all below
	event   *process.Event
	jobs    []Job // in the order in which they came
	taken   *Job  // what the thread does at present, or nil
	waiting map[string]*errand
}

// description begins a sentence about the functions of a job.
func (j *Job) description() string {
	if j.What == jobPassword {
		return fmt.Sprintf("password callable of alias %q has", j.Alias)
	}
	return fmt.Sprintf("on_connect functions of alias %q have", j.Alias)
}

// errand is a job that a dial waits for.
type errand struct {
	job  Job
	conn *connection.Conn // jobConnect: the new connection
	done chan verdict     // of one place, so that nobody waits to settle

	// Known once it was waited for too long.
	taken  bool   // the thread has taken the job
	behind string // else what the thread was doing, or ""
}

type verdict struct {
	ok   bool
	text string // the password, or the reason against the connection
}

// FD is a duplicate of the descriptor that is readable while there are jobs. Its caller closes it.
func (a *Attendant) FD() (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.event == nil {
		event, err := process.OpenEvent()
		if err != nil {
			return -1, err
		}
		a.event = event
		if len(a.jobs) > 0 {
			event.Set()
		}
	}
	return a.event.Duplicate()
}

// Take takes the next job, nil if there is none. The one before has ended.
func (a *Attendant) Take() *Job {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken = nil
	if len(a.jobs) > 0 {
		job := a.jobs[0]
		a.jobs = a.jobs[1:]
		a.taken = &job
	}
	if len(a.jobs) == 0 && a.event != nil {
		a.event.Clear()
	}
	return a.taken
}

// Settle ends a job. One that nobody waits for any more has no effect.
func (a *Attendant) Settle(ticket string, ok bool, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.waiting[ticket]; e != nil {
		delete(a.waiting, ticket)
		e.done <- verdict{ok, text}
	}
}

// SetBaseline sets the baseline of the new connection of a job, see connection.Conn.SetBaseline. Its session is
// Python's, and between two statements.
func (a *Attendant) SetBaseline(ticket, sql string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.waiting[ticket]; e != nil && e.conn != nil {
		e.conn.SetBaseline(sql)
	}
}

func (a *Attendant) post(e *errand) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.done = make(chan verdict, 1)
	if a.waiting == nil {
		a.waiting = make(map[string]*errand)
	}
	a.waiting[e.job.Ticket] = e
	a.jobs = append(a.jobs, e.job)
	if a.event != nil {
		a.event.Set()
	}
}

// wait returns the verdict of a job, or an error when the time is up or the pool was closed.
func (a *Attendant) wait(ctx context.Context, e *errand) (verdict, error) {
	select {
	case v := <-e.done:
		return v, nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, e.job.Ticket)
	select {
	case v := <-e.done: // it was faster
		return v, nil
	default:
	}
	i := slices.IndexFunc(a.jobs, func(j Job) bool { return j.Ticket == e.job.Ticket })
	if e.taken = i < 0; !e.taken {
		a.jobs = slices.Delete(a.jobs, i, i+1)
	}
	if !e.taken && a.taken != nil {
		e.behind = a.taken.description()
	}
	return verdict{}, ctx.Err()
}

// late is the fault of a job that was not done in time: its own function has not returned, or was not called
// because the thread had another one to wait for.
func (p *Pool) late(e *errand) *wire.Fault {
	text := fmt.Sprintf("the %s not returned within %v (connect_timeout_secs)", e.job.description(), millis(p.config.ConnectMS))
	if !e.taken {
		text = fmt.Sprintf("the %s not been called within %v (connect_timeout_secs)", e.job.description(), millis(p.config.ConnectMS))
		if e.behind != "" {
			text += ": the " + e.behind + " not returned yet, and they are called one at a time"
		}
	}
	return &wire.Fault{Kind: wire.KindOperational, SafeToRetry: true, Message: text}
}

// errand makes a job with a ticket that nobody can guess: the id of a request may be anybody's choice.
func (p *Pool) errand(what string) *errand {
	return &errand{job: Job{Ticket: rand.Text(), Alias: p.served, What: what, Seconds: float64(p.config.ConnectMS) / 1000}}
}

// Connect makes a connection: the callable's password, the dial, and the on_connect functions. It blocks, and needs
// a goroutine of its own.
func (p *Pool) connect() (*connection.Conn, error) {
	password, err := p.Password(p.ctx)
	if err != nil {
		return nil, err
	}
	conn, err := p.dialer.Dial(p.ctx, password)
	if err != nil || !p.hooked.Load() {
		return conn, err
	}
	if err := p.introduce(conn); err != nil {
		return nil, err
	}
	return conn, nil
}

// Password is the callable's password for one dial; "" if the settings have it.
func (p *Pool) Password(ctx context.Context) (string, error) {
	if !p.config.CallablePassword {
		return "", nil
	}
	ctx, stop := p.limited(ctx)
	defer stop()
	e := p.errand(jobPassword)
	p.attendant.post(e)
	v, err := p.attendant.wait(ctx, e)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "", p.late(e)
	case err != nil:
		return "", err
	case !v.ok:
		return "", &wire.Fault{Kind: wire.KindOperational, SafeToRetry: true, Ticket: e.job.Ticket, Message: fmt.Sprintf(
			"the password callable of alias %q failed: %s", p.config.Alias, v.text)}
	}
	return v.text, nil
}

func (p *Pool) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.config.ConnectMS == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(p.config.ConnectMS)*time.Millisecond)
}

// SetHooked has the on_connect functions called for each new connection from now on, or no longer.
func (p *Pool) SetHooked(hooked bool) {
	p.hooked.Store(hooked)
	if p.replica != nil {
		p.replica.SetHooked(hooked)
	}
}

// introduce has the on_connect functions called with a session on a new connection, which is not one of the
// pool's until they have returned. Where they fail, the connection is closed.
func (p *Pool) introduce(conn *connection.Conn) error {
	if conn.Shared() {
		conn.Close()
		return &wire.Fault{Kind: wire.KindNotSupported, SafeToRetry: true, Message: fmt.Sprintf(
			"on_connect is not available on alias %q: it leads to a pooler that shares its servers, so that what a function "+
				"sets there would be seen by others; set it for the role, or in the pooler (PgBouncer: connect_query)",
			p.config.Alias)}
	}
	ctx, stop := p.limited(p.ctx)
	defer stop()
	e := p.errand(jobConnect)
	e.job.Session, e.conn = newcomerPrefix+e.job.Ticket, conn
	p.mu.Lock()
	if p.newcomers == nil {
		p.newcomers = make(map[string]*slot)
	}
	c := &slot{conn: conn}
	p.newcomers[e.job.Session] = c
	p.mu.Unlock()
	p.attendant.post(e)
	v, err := p.attendant.wait(ctx, e)

	p.mu.Lock()
	delete(p.newcomers, e.job.Session)
	held := c.holder != nil
	p.mu.Unlock()
	var fault *wire.Fault
	switch {
	case p.ctx.Err() != nil:
		fault = p.ClosedFault()
	case err != nil:
		fault = p.late(e)
	case !v.ok:
		fault = &wire.Fault{Kind: wire.KindOperational, SafeToRetry: true, Ticket: e.job.Ticket, Message: fmt.Sprintf(
			"an on_connect function of alias %q failed: %s", p.config.Alias, v.text)}
	case held || !conn.Sound():
		fault = &wire.Fault{Kind: wire.KindOperational, SafeToRetry: true, Message: fmt.Sprintf(
			"the new connection of alias %q was lost in an on_connect function", p.config.Alias)}
	default:
		return nil
	}
	if held { // Release, by its holder, closes it
		conn.Kill(fault)
	} else {
		conn.Break()
		conn.Close()
	}
	return fault
}

// newcomerPrefix begins the request id of the session that the on_connect functions are called with.
const newcomerPrefix = "hypern on_connect "

// NewcomerID reports whether a request id is that of a session for the on_connect functions.
func NewcomerID(request string) bool {
	return len(request) > len(newcomerPrefix) && request[:len(newcomerPrefix)] == newcomerPrefix
}

// PoolOf is the pool whose new connection a request id stands for: this one's, or its replica's.
func (p *Pool) PoolOf(request string) *Pool {
	if p.replica == nil {
		return p
	}
	p.replica.mu.Lock()
	defer p.replica.mu.Unlock()
	if p.replica.newcomers[request] != nil {
		return p.replica
	}
	return p
}

// newcomer is the new connection that a request id stands for, unless it has a holder. Called with mu held.
func (p *Pool) newcomer(request string) *slot {
	if c := p.newcomers[request]; c != nil && c.holder == nil {
		return c
	}
	return nil
}

// releaseNewcomer follows the end of the session that the on_connect functions were called with: introduce goes
// on, or has given the connection up.
func (p *Pool) releaseNewcomer(conn *connection.Conn, now process.Moment) {
	p.mu.Lock()
	for _, c := range p.newcomers {
		if c.conn == conn {
			c.holder = nil
			conn.GivenBack(now)
			p.mu.Unlock()
			return
		}
	}
	p.mu.Unlock()
	conn.Break()
	conn.Close()
}
