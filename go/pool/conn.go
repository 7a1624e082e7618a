package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hypern/go/wire"
)

// inbufSize holds the answer to a reset.
const inbufSize = 512

// Conn is one connection. Its holder owns every field but those said to be the pool's or atomic.
type Conn struct {
	FD         int
	Statements *Statements
	// Cache is how statements are kept here: never CacheAuto.
	Cache string
	// Reset is what is undone here before the next request is served.
	Reset string
	// Shared is true behind a pooler that may give each transaction another server.
	Shared bool
	// direct is true where the process that answers is the one that the connection was made to, so that
	// what is prepared stays, whatever Cache says.
	direct bool
	// Timeout is how long a statement may run by the client's clock; 0 leaves it to the server.
	Timeout time.Duration
	// GraceMS is how long after a caller's deadline the answer to a request to cancel is waited for.
	GraceMS int32
	// Fresh is true until the first acquire after dialing: nothing to test, nothing to collect.
	Fresh bool
	// Tx is the status of the last ReadyForQuery: 'I', 'T' or 'E'.
	Tx byte
	// Prepared is true once a PREPARE by SQL ran: the next reset drops all prepared statements.
	Prepared bool
	// Unseen is true once something ran whose tag does not tell whether it has run PREPARE: DO, CALL, or
	// what has failed. The next reset looks.
	Unseen bool
	// Unreset is true between PassOn and the next write: what the request before has set is still
	// there. It is the pool's while nobody holds the connection, or its waiter has not come.
	Unreset bool
	// Owed counts ReadyForQuery frames still to come from what was sent and not waited for.
	Owed int

	pool       *Pool
	pg         *pgconn.PgConn
	server     *server
	ownCatalog *Catalog // instead of the server's while a transaction is open, or nil
	socket     *Socket
	tls        *tls.Conn // nil on a plain connection
	params     map[string]string
	local      bool   // the server is reached by a unix socket
	foreign    bool   // client_encoding is not UTF8
	digits     bool   // it began with an extra_float_digits that prints floats exactly
	inbuf      []byte // bytes received and not yet read as frames; empty while C does the I/O

	nest Nest // of a nested pool

	reset    *resetScript // the last one sent by itself, or nil
	resetRan int          // how many of its commands the server has completed
	refusal  *wire.Fault  // why a reset failed: Repair sends another
	repairs  int          // in a row

	broken  bool
	running bool                       // Abandon was called
	killed  atomic.Pointer[wire.Fault] // why someone else shut it down
	cancels atomic.Int32               // requests to cancel under way

	created, expires Moment  // expires 0: never
	idleSince        Moment  // the pool's
	leftAt           Moment  // when it became Unreset
	passedAt         Moment  // the pool's: when it was last passed on, until the pool has seen to its reset; else 0
	holder           Holder  // the pool's
	heldSince        Moment  // the pool's
	abandoned        bool    // the pool's: it is being closed in the background
	waiter           *Waiter // the pool's: whom it was granted to and who has not taken it yet
}

// Holder is who has a connection. Its methods are called without any lock of the pool held.
type Holder interface {
	Describe() HolderInfo
	// ResetDeferred resets the connection if it is still Unreset and nothing is under way on it.
	ResetDeferred()
}

// HolderInfo says who holds a connection, for messages and status.
type HolderInfo struct {
	RequestID string  `json:"request_id"`
	Alias     string  `json:"alias"`
	AgeSecs   float64 `json:"age_secs"`
	SQL       string  `json:"sql,omitempty"` // the last statement, without parameters
	State     string  `json:"state"`
}

// Held is how long its holder has had the connection.
func (c *Conn) Held() time.Duration { return Now().Sub(c.heldSince) }

// TLS tells whether I/O has to go through Read and Write.
func (c *Conn) TLS() bool { return c.tls != nil }

// Local tells whether the server is reached by a unix socket.
func (c *Conn) Local() bool { return c.local }

// Socket tells this connection's descriptor from others that have or had its number.
func (c *Conn) Socket() uint64 { return c.socket.ino }

// Parameter is a setting the server reports, such as TimeZone.
func (c *Conn) Parameter(name string) string {
	if v, ok := c.params[name]; ok {
		return v
	}
	return c.pg.ParameterStatus(name)
}

// Read reads through TLS without blocking: 0 and io.EOF at the end, errAgain as error when it would
// block.
func (c *Conn) Read(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Read(p)
	}
	return c.socket.Read(p)
}

// Write takes plain text for TLS once what came before has left: (0, again) until then. With an
// empty p it flushes.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.socket.Flush(); err != nil || len(p) == 0 {
		return 0, err
	}
	n, err := c.tls.Write(p)
	if err == nil {
		if err = c.socket.Flush(); IsAgain(err) {
			err = nil
		}
	}
	return n, err
}

// Send sends what the kernel takes at once, for a message nobody waits for. It returns how much that
// was: 0 over TLS, or when the connection has ended, which the regular way of sending will find.
func (c *Conn) Send(p []byte) int {
	if c.tls != nil {
		return 0
	}
	return c.socket.sendNow(p)
}

// SendWhole sends what nobody waits for, and tells whether all of it is on its way.
func (c *Conn) SendWhole(p []byte) bool {
	if c.tls == nil {
		return c.socket.sendNow(p) == len(p)
	}
	n, err := c.Write(p)
	return err == nil && n == len(p) && len(c.socket.pending) == 0
}

// Reauthorized tells whether SET SESSION AUTHORIZATION is in force, as the server reports.
func (c *Conn) Reauthorized() bool { return c.altered("session_authorization") }

// Rezoned tells whether TimeZone is not the one the connection began with, as the server reports.
// Parameters may be encoded by it, so a reset's answer has to come first.
func (c *Conn) Rezoned() bool { return c.altered("TimeZone") }

func (c *Conn) altered(name string) bool {
	now, changed := c.params[name]
	return changed && now != c.pg.ParameterStatus(name)
}

// IsAgain tells whether err means that the socket would block.
func IsAgain(err error) bool { return errors.Is(err, errAgain) }

// Unread gives bytes back that were received behind the end of an I/O.
func (c *Conn) Unread(p []byte) { c.inbuf = append(c.inbuf, p...) }

// Halfway tells whether bytes given back end in the middle of a message; those before it are read.
// Answers that are owed are left for Settle.
func (c *Conn) Halfway() bool {
	if len(c.inbuf) == 0 || c.Owed > 0 {
		return false
	}
	if _, ok := c.readFrames(); !ok {
		c.broken = true
		return false
	}
	return len(c.inbuf) > 0
}

// expired tells whether the connection has had its time.
func (c *Conn) expired(now Moment) bool { return c.expires != 0 && now >= c.expires }

// Break marks the connection as unusable: Release will drop it.
func (c *Conn) Break() { c.broken = true }

// Usable tells whether statements can be sent: the answers owed are in and nothing went wrong.
func (c *Conn) Usable() bool {
	return !c.broken && c.Owed == 0 && (c.Tx == 'I' || c.nest.begun) && c.refusal == nil && c.killed.Load() == nil
}

// Killed is the reason someone else has ended this connection for, or nil.
func (c *Conn) Killed() *wire.Fault { return c.killed.Load() }

// TakeParameter reads the body of a ParameterStatus message.
func (c *Conn) TakeParameter(body []byte) {
	name, rest, ok := wire.CString(body)
	if !ok {
		return
	}
	value, _, ok := wire.CString(rest)
	if !ok {
		return
	}
	if c.params == nil {
		c.params = make(map[string]string)
	}
	c.params[name] = value
	if name == "client_encoding" {
		c.foreign = value != "UTF8"
	}
	if slices.Contains(parsedUnder, name) {
		c.Statements.reported(c.alterations())
	}
}

// parsedUnder lists the settings that the server reports and statements are parsed under.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
var parsedUnder = []string{
	"TimeZone", "DateStyle", "IntervalStyle", "search_path", "session_authorization",
	"standard_conforming_strings", "client_encoding",
}

// alterations tells which settings of parsedUnder are not what the connection began with; "" if none.
func (c *Conn) alterations() string {
	var text strings.Builder
	for _, name := range parsedUnder {
		if c.altered(name) {
			text.WriteString(name + "=" + c.params[name] + "\x00")
		}
	}
	return text.String()
}

// Reports tells whether the server reports each change of a setting, given in lower case.
func (c *Conn) Reports(setting string) bool {
	return slices.ContainsFunc(parsedUnder, func(name string) bool {
		return strings.EqualFold(name, setting) && c.pg.ParameterStatus(name) != ""
	})
}

// Encoding is the present client_encoding where it is not UTF8, else "".
func (c *Conn) Encoding() string {
	if !c.foreign {
		return ""
	}
	return c.Parameter("client_encoding")
}

// Completed follows a command that the server has completed: the word of its tag and, for one of the
// caller's, its statement.
func (c *Conn) Completed(word string, st *Statement) { c.Statements.completed(word, st) }

// Ready follows a ReadyForQuery.
func (c *Conn) Ready(status byte) {
	c.Tx = status
	c.Statements.ready(status)
}

// cancelTimeout bounds a request to cancel: it has a connection of its own to make.
const cancelTimeout = 2 * time.Second

// Cancel asks the server to cancel what runs on this connection, and calls done when the server has
// taken note (or could not be reached). Until then nothing else may be sent here, or it could be hit.
func (c *Conn) Cancel(done func()) {
	c.cancels.Add(1)
	Go(func() {
		defer done()
		defer c.cancels.Add(-1)
		ctx, stop := context.WithTimeout(c.pool.cancels, cancelTimeout)
		defer stop()
		// Best effort: if the request does not arrive, the caller's grace period ends in Kill.
		_ = c.pg.CancelRequest(ctx)
	})
}

// Cancelling tells whether a request to cancel is under way.
func (c *Conn) Cancelling() bool { return c.cancels.Load() > 0 }

// Condemn marks the connection as one to be dropped at its holder's next step, for this reason.
func (c *Conn) Condemn(why *wire.Fault) { c.killed.CompareAndSwap(nil, why) }

// Kill condemns the connection and ends its I/O at once, under its holder, who closes it.
func (c *Conn) Kill(why *wire.Fault) {
	c.Condemn(why)
	c.socket.Shutdown()
}

// close says goodbye if that needs no waiting, and closes the descriptor.
func (c *Conn) close() {
	if !c.broken && c.killed.Load() == nil {
		bye := wire.AppendTerminate(nil)
		var err error
		if c.tls != nil {
			_, err = c.tls.Write(bye)
		} else {
			_, err = c.socket.Write(bye)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			c.broken = true // the server was gone already; closing is all that is left
		}
	}
	_ = c.socket.Close()
}
