package pool

import (
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hypern/go/process"
	"hypern/go/wire"
)

// How a pool endures a server that was there and is not: a restart takes less than restartTime, and
// a caller that waits for a connection that long gets one instead of an error. After that callers get the
// error at once. Dials are never closer together than the backoff.
const (
	restartTime  = 5 * time.Second
	backoffFirst = 50 * time.Millisecond
	backoffMax   = time.Second
)

// SQLSTATEs of a server that cannot accept a connection now.
const (
	stateTooManyConnections = "53300"
	stateCrashShutdown      = "57P02"
	stateCannotConnectNow   = "57P03"
)

// outage is what is known of a server that refuses connections. Guarded by the pool's mu.
type outage struct {
	known   bool           // the server has been there: these settings work
	since   process.Moment // of the first refusal; 0 while there is none
	backoff time.Duration
	retryAt process.Moment
	fault   *wire.Fault
	timer   *time.Timer
	noticed bool // somebody has been sent elsewhere
}

// end forgets the outage; known: a connection was made at some time.
func (o *outage) end(known bool) {
	if o.timer != nil {
		o.timer.Stop()
	}
	*o = outage{known: known}
}

// refused notes a refusal; serve is called when the next dial is due.
func (o *outage) refused(fault *wire.Fault, now process.Moment, serve func()) {
	if o.since == 0 || now.Sub(o.retryAt) > restartTime { // no dial since: another outage
		o.since, o.backoff = now, backoffFirst
	}
	// Jitter, so that processes that lost the same server do not come back together.
	wait := o.backoff/2 + rand.N(o.backoff)
	o.backoff = min(2*o.backoff, backoffMax)
	o.fault, o.retryAt = fault, now.Add(wait)
	if o.timer != nil {
		o.timer.Stop()
	}
	o.timer = time.AfterFunc(wait, func() { process.Go(serve) })
}

// holdsBack reports whether a dial has to wait: one at a time probes a server that is away.
func (o *outage) holdsBack(now process.Moment, dialing int) bool {
	return o.since != 0 && (dialing > 0 || now < o.retryAt)
}

// bears reports whether waiters stay in the queue. Settings that have never worked are no outage. While
// connections are in use and only the server's limit is reached, one of them comes back.
func (o *outage) bears(now process.Moment, inUse int) bool {
	if !o.known {
		return false
	}
	full := o.fault != nil && o.fault.SQLState == stateTooManyConnections && inUse > 0
	return full || now.Sub(o.since) < restartTime
}

// refusal reports whether err is that of a server that is starting, stopping, down or full: another
// dial may soon succeed. A timeout is none, since the callers' time is used up with it.
func refusal(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case stateTooManyConnections, wire.StateAdminShutdown, stateCrashShutdown, stateCannotConnectNow:
			return true
		}
		return false
	}
	for _, why := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ENOENT,
		io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}
