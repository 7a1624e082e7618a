package pool

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hypern/go/connection"
	"hypern/go/process"
	"hypern/go/wire"
)

// Waiter is a place in the queue for a connection. Its descriptor becomes readable when it is over.
type Waiter struct {
	pool    *Pool
	holder  Holder
	event   *process.Event
	since   process.Moment
	before  int   // growth.granted at that time
	granted *slot // nil: nothing yet, or fault
	fault   *wire.Fault
	over    bool
}

// FD is the descriptor to poll.
func (w *Waiter) FD() int { return w.event.FD() }

// Number distinguishes its descriptor from others that have or had the same number, sockets among them.
func (w *Waiter) Number() uint64 { return w.event.Number() }

// finish ends the wait without a connection. Called with the pool's mu held.
func (w *Waiter) finish(fault *wire.Fault) {
	w.fault, w.over = fault, true
	w.left()
	w.event.Set()
}

// Take returns the outcome and ends the wait, or three zeros while there is none.
func (w *Waiter) Take() (conn *connection.Conn, fault *wire.Fault, over bool) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if !w.over {
		return nil, nil, false
	}
	w.event.Close()
	if w.granted == nil {
		return nil, w.fault, true
	}
	w.granted.waiter = nil
	return w.granted.conn, nil, true
}

// Waited is how long it has waited so far.
func (w *Waiter) Waited() time.Duration { return process.Now().Sub(w.since) }

// Fail ends the wait with fault, from any thread; the waiter learns of it through Take.
func (w *Waiter) Fail(fault *wire.Fault) {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.over {
		p.dequeue(w)
		w.finish(fault)
	}
}

// Leave ends the wait. A connection that was granted meanwhile goes back to the pool.
func (w *Waiter) Leave() {
	p := w.pool
	p.mu.Lock()
	w.event.Close()
	c := w.granted
	if !w.over {
		p.dequeue(w)
		w.over = true
		w.left()
	}
	if c != nil {
		c.waiter = nil
	}
	p.mu.Unlock()
	if c != nil {
		if c.conn.Unreset() {
			c.conn.ResetNow()
		}
		p.Release(c.conn)
	}
}

// dequeue: called with mu held.
func (p *Pool) dequeue(w *Waiter) {
	if i := slices.Index(p.queue, w); i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
	}
}

// TimeoutFault is the PoolTimeout for a wait that ran out, which it counts, with the list of who holds connections.
// limit names the setting that bounded the wait; empty: acquire_timeout_secs.
func (w *Waiter) TimeoutFault(limit string) *wire.Fault {
	p := w.pool
	within := limit
	if limit == "" {
		within = process.Now().Sub(w.since).Round(10 * time.Millisecond).String()
	}
	p.mu.Lock()
	p.counts.timeouts++
	p.mu.Unlock()
	st := p.Status()
	var b strings.Builder
	fmt.Fprintf(&b, "no free connection for alias %q within %s: %d of %d in use, %d waiting",
		p.config.Alias, within, st.InUse, st.MaxSize, st.Waiting)
	dialing, abandoned := p.inBackground()
	if dialing > 0 {
		fmt.Fprintf(&b, ", %d being connected without an answer", dialing)
	}
	if abandoned > 0 {
		fmt.Fprintf(&b, ", %d being closed", abandoned)
	}
	if st.LastError != "" {
		fmt.Fprintf(&b, "; last connection error: %s", st.LastError)
	}
	for i, h := range st.Holders {
		if i == 16 {
			fmt.Fprintf(&b, "\n  and %d more", len(st.Holders)-i)
			break
		}
		fmt.Fprintf(&b, "\n  held by request %q (alias %q) for %.1f s, %s", h.RequestID, h.Alias, h.AgeSecs, h.State)
		if h.Label != "" {
			fmt.Fprintf(&b, ", label: %s", shorten(h.Label, 80))
		}
		if h.SQL != "" {
			fmt.Fprintf(&b, ", last: %s", shorten(h.SQL, 80))
		}
	}
	return &wire.Fault{Kind: wire.KindPoolTimeout, Message: b.String(), SafeToRetry: true}
}

// inBackground counts the connections that are being made, and those that are being closed.
func (p *Pool) inBackground() (dialing, abandoned int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialing, p.abandoned
}

func shorten(sql string, n int) string {
	sql = strings.Join(strings.Fields(sql), " ")
	if len(sql) > n {
		return strings.ToValidUTF8(sql[:n], "") + "..."
	}
	return sql
}
