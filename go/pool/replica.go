package pool

import (
	"hypern/go/process"
	"hypern/go/wire"
)

// A replica's pool serves sessions that another pool serves as well, so nobody waits for a server that is away: those
// who wait get the error at once, and dials go on in the background until one succeeds.

// Missed notes that a session has gone elsewhere, since no replica could be reached. It reports whether this is the
// first one in the outage. fault: why, where no dial has failed.
func (p *Pool) Missed(fault *wire.Fault) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if p.outage.since == 0 && len(p.all) > 0 {
		return false // it was busy, or a single connection has ended
	}
	if p.outage.since == 0 {
		p.lastErr = fault.Error()
		p.outage.refused(fault, process.Now(), p.retry)
	}
	first = !p.outage.noticed
	p.outage.noticed = true
	return first
}

// closeReplica closes the replica's pool and waits for its end.
func (p *Pool) closeReplica() {
	if p.replica == nil {
		return
	}
	closed := make(chan struct{})
	p.replica.Close(func() { close(closed) })
	<-closed
}
