package pool

import (
	"time"

	"hypern/go/process"
)

// Status is a pool's state at one moment.
type Status struct {
	Size      int          `json:"size"`      // connections: idle, in use, and being closed in the background
	Available int          `json:"available"` // idle, a reset under way among them
	MaxSize   int          `json:"max_size"`
	InUse     int          `json:"in_use"`
	Waiting   int          `json:"waiting"`
	LastError string       `json:"last_error,omitempty"`
	Refused   []string     `json:"refused,omitempty"` // steps of the reset, each with the server's reason
	Pooler    string       `json:"pooler,omitempty"`  // see connection.Dialer.Pooler
	Holders   []HolderInfo `json:"holders"`
	Replica   *Status      `json:"replica,omitempty"`
	Counters
}

// Status describes the pool and who holds its connections.
func (p *Pool) Status() Status {
	now := process.Now()
	p.mu.Lock()
	st := Status{
		Size: len(p.all), Available: len(p.idle), MaxSize: p.config.MaxSize,
		InUse: len(p.all) - len(p.idle) - p.abandoned, Waiting: len(p.queue), LastError: p.lastErr,
		Counters: p.counters(),
	}
	type held struct {
		holder Holder
		age    time.Duration
	}
	var list []held
	for _, c := range p.all {
		if c.holder != nil {
			list = append(list, held{c.holder, now.Sub(c.since)})
		}
	}
	p.mu.Unlock()
	st.Refused, st.Pooler = p.dialer.Refused(), p.dialer.Pooler()
	st.Holders = make([]HolderInfo, 0, len(list))
	for _, h := range list {
		info := h.holder.Describe()
		info.AgeSecs = h.age.Seconds()
		st.Holders = append(st.Holders, info)
	}
	if p.replica != nil {
		replica := p.replica.Status()
		st.Replica = &replica
	}
	return st
}
