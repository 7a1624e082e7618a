// Package listen keeps the connections that LISTEN: one per pool, beside its own, for all the listeners of the
// process.
//
//   - Python says which channels it wants (Hub.Want); a goroutine per pool, the line, has the server's side agree.
//   - What happens comes back as events, in order, in one queue for all pools (Hub.Events). While that is full,
//     the lines stop reading: what the server sends stays with it, and nothing is lost.
//   - A connection that has ended is made anew until nobody wants a channel any more.
package listen

import (
	"sync"

	"hypern/go/pool"
	"hypern/go/process"
	"hypern/go/wire"
)

// Kinds of events.
const (
	KindReady    = "ready"    // the channels wanted with Serial are listened to
	KindFailed   = "failed"   // they are not, for the reason in Fault; it is tried again
	KindNotified = "notified" // Channel, Payload, PID
	KindBack     = "back"     // listening again after a loss: notifications may have been missed
	KindClosed   = "closed"   // the pool was closed; another one may want channels already, with a higher Serial
)

// Event is what a line reports.
type Event struct {
	Alias   string      `json:"alias"`
	Kind    string      `json:"kind"`
	Serial  int64       `json:"serial,omitempty"`
	Channel string      `json:"channel,omitempty"`
	Payload string      `json:"payload,omitempty"`
	PID     uint32      `json:"pid,omitempty"`
	Fault   *wire.Fault `json:"fault,omitempty"`
}

// queueMax bounds the events that Python has not taken.
const queueMax = 4096

// Hub has the lines of all pools.
type Hub struct {
	mu    sync.Mutex // guards all below
	room  *sync.Cond // the queue has been emptied, or a line is to end
	event *process.Event
	queue []Event
	lines map[string]*line // by alias
}

// NewHub makes a hub without lines.
func NewHub() *Hub {
	h := &Hub{lines: make(map[string]*line)}
	h.room = sync.NewCond(&h.mu)
	return h
}

// FD is a duplicate of the descriptor that is readable while there are events. Its caller closes it.
func (h *Hub) FD() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.event == nil {
		event, err := process.OpenEvent()
		if err != nil {
			return -1, err
		}
		h.event = event
		if len(h.queue) > 0 {
			event.Set()
		}
	}
	return h.event.Duplicate()
}

// Events takes what has happened.
func (h *Hub) Events() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	queue := h.queue
	h.queue = nil
	if h.event != nil {
		h.event.Clear()
	}
	h.room.Broadcast()
	return queue
}

// Want replaces the channels that are wanted of a pool. serial grows with each call. It returns a fault if the pool
// was closed meanwhile, whose line End has ended or will not find.
func (h *Hub) Want(p *pool.Pool, serial int64, channels []string) *wire.Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	alias := p.Config().Alias
	l := h.lines[alias]
	if l == nil {
		if len(channels) == 0 {
			return nil
		}
		if p.Closed() {
			return p.ClosedFault()
		}
		l = newLine(h, p)
		h.lines[alias] = l
		process.Go(l.run)
	}
	l.want(serial, channels)
	return nil
}

// End ends the line of an alias, whose pool was closed; done is called when its connection has gone.
func (h *Hub) End(alias string, done func()) {
	h.mu.Lock()
	l := h.lines[alias]
	var serial int64
	if l != nil {
		delete(h.lines, alias)
		serial = l.serial
		l.stop()
		h.room.Broadcast()
	}
	h.mu.Unlock()
	if l == nil {
		done()
		return
	}
	process.Go(func() {
		<-l.ended
		h.report(nil, Event{Alias: alias, Kind: KindClosed, Serial: serial})
		done()
	})
}

// report queues an event. One of a line waits for room, unless the line is to end.
func (h *Hub) report(l *line, e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l != nil && len(h.queue) >= queueMax && l.ctx.Err() == nil {
		h.room.Wait()
	}
	if l != nil && l.ctx.Err() != nil {
		return
	}
	h.queue = append(h.queue, e)
	if h.event != nil {
		h.event.Set()
	}
}
