package connection

import (
	"context"
	"time"

	"hypern/go/process"
)

const (
	// graceLeast and graceMost bound how late a caller with a deadline may get the outcome; in between it
	// is graceTrips round trips, which is what connecting, cancelling and the answer take.
	graceLeast = 250 * time.Millisecond
	graceMost  = time.Second
	graceTrips = 8
	// abandonTime bounds how long an abandoned connection stays open, and with it its place in the pool:
	// a server that can be reached has cancelled its statement by then, and one that cannot must not keep
	// the next caller from another connection.
	abandonTime = 750 * time.Millisecond
	abandonLook = 20 * time.Millisecond
	// closeTime bounds how long a request to cancel of an abandoned connection keeps a pool from closing.
	closeTime   = 250 * time.Millisecond
	cancelLooks = 15 // until a request to cancel that had no effect is repeated
	// drainMax is how much is read in one look, so that a stream without an end does not keep a goroutine busy.
	drainMax = 4 << 20
)

// grace is how long a connection with this round trip has, in milliseconds, to answer a request to cancel
// that follows a deadline. A fifth of the time is left for what the caller does with the outcome.
func grace(trip time.Duration) int32 {
	total := min(max(graceTrips*trip, graceLeast), graceMost)
	return int32((total * 4 / 5).Milliseconds())
}

// Abandon marks the connection as one whose cancelled statement may not have ended yet: it is then closed
// in the background, once the server has let go of it.
func (c *Conn) Abandon() { c.broken, c.running = true, true }

// WindUp waits until the request to cancel has ended, ends the writing, and waits for
// the server to do the same; what arrives meanwhile is dropped. A request that arrived ahead of the statement
// had no effect, so it is repeated. ctx ends with the pool.
func (c *Conn) WindUp(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, abandonTime)
	defer stop()
	ticker := time.NewTicker(abandonLook)
	defer ticker.Stop()
	buffer := make([]byte, 64<<10)
	for looks := 0; !c.drain(buffer); {
		if !c.Cancelling() {
			if looks == 0 {
				c.socket.EndWriting()
			}
			if looks++; looks%cancelLooks == 0 && c.running {
				c.Cancel(func() {})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// AwaitCancels waits for requests to cancel that are still under way: when the pool is closed, perhaps
// because the process exits, they are what ends the statement on the server. A request that gets no
// answer within closeTime is not waited for.
func (c *Conn) AwaitCancels() {
	for until := process.Now().Add(closeTime); c.Cancelling() && process.Now().Sub(until) < 0; {
		time.Sleep(abandonLook)
	}
}

// drain drops what has arrived, and reports whether that was the last of it.
func (c *Conn) drain(buffer []byte) bool {
	for total := 0; total < drainMax; {
		n, err := c.socket.Read(buffer)
		if err != nil {
			return !IsAgain(err)
		}
		total += n
	}
	return false
}
