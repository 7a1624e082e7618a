package connection

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

	"hypern/go/process"
	"hypern/go/wire"
)

// inbufSize holds the answer to a reset.
const inbufSize = 512

// Conn is one connection. Its holder owns all fields but the atomic ones; while it has none, the pool does.
type Conn struct {
	dialer     *Dialer
	pg         *pgconn.PgConn
	server     *server
	ownCatalog *Catalog // instead of the server's while a transaction is open, or nil
	socket     *socket
	tls        *tls.Conn // nil on a plain connection
	fd         int
	where      string // host, NUL, port, as the settings have the host
	params     map[string]string
	local      bool // the server is reached by a unix socket
	foreign    bool // client_encoding is not UTF8
	baseline   baseline
	digits     bool   // it began with an extra_float_digits that prints floats exactly
	otherStyle bool   // it began with another DateStyle than was reported
	inbuf      []byte // bytes received and not yet read as frames; empty while C does the I/O

	statements *Statements
	cache      string // how statements are kept here: never CacheAuto
	resetMode  string // what is undone here before the next request is served
	shared     bool   // behind a pooler that may give each transaction another server
	// direct is true where the process that answers is the one that the connection was made to, so that
	// what is prepared stays, regardless of cache.
	direct  bool
	timeout time.Duration // how long a statement may run by the client's clock; 0 leaves it to the server
	graceMS int32         // how long after a caller's deadline the answer to a request to cancel is waited for
	fresh   bool          // until it is given back for the first time: nothing to test, nothing to collect
	tx      byte          // the status of the last ReadyForQuery: 'I', 'T' or 'E'

	prepared bool // a PREPARE by SQL ran: the next reset drops all prepared statements
	// unseen is true once something ran whose tag does not show whether it has run PREPARE: DO, CALL, or
	// what has failed. The next reset looks.
	unseen bool

	prelude prelude

	nest Nest // of a nested pool

	system   uint64   // the number of the primary's system, once it was asked for
	log      logShape // of the primary's log, learnt with it
	replayed Position // of a standby: how far it had come when it was last asked

	broken  bool
	running bool                       // Abandon was called
	killed  atomic.Pointer[wire.Fault] // why someone else shut it down
	cancels atomic.Int32               // requests to cancel under way

	taken     process.Moment // when its holder got it
	givenBack process.Moment // when its last holder gave it back with nothing left to reset
}

// FD is the descriptor, which belongs to the connection's holder.
func (c *Conn) FD() int { return c.fd }

// Where is where the connection leads to: host, NUL and port. The host is as the settings have it.
func (c *Conn) Where() string { return c.where }

// Statements is the cache of the connection's statements.
func (c *Conn) Statements() *Statements { return c.statements }

// Cache is how statements are kept here: never CacheAuto.
func (c *Conn) Cache() string { return c.cache }

// Resets reports whether everything that a session can set is undone here before the next request is served.
func (c *Conn) Resets() bool { return c.resetMode == ResetFull }

// Shared reports whether a pooler in between may give each transaction another server.
func (c *Conn) Shared() bool { return c.shared }

// Timeout is how long a statement may run by the client's clock; 0 leaves it to the server.
func (c *Conn) Timeout() time.Duration { return c.timeout }

// GraceMS is how long after a caller's deadline the answer to a request to cancel is waited for.
func (c *Conn) GraceMS() int32 { return c.graceMS }

// Fresh reports whether the connection has not been given back since it was dialed.
func (c *Conn) Fresh() bool { return c.fresh }

// Tx is the status of the last ReadyForQuery: 'I', 'T' or 'E'.
func (c *Conn) Tx() byte { return c.tx }

// Taken follows a change of hands: the connection has a holder from now on.
func (c *Conn) Taken(now process.Moment) { c.taken = now }

// GivenBack follows the end of a holder's use, with nothing left to send.
func (c *Conn) GivenBack(now process.Moment) {
	c.givenBack, c.fresh = now, false
	c.note(onLeave, 0)
}

// Held is how long its holder has had the connection.
func (c *Conn) Held() time.Duration { return process.Now().Sub(c.taken) }

// PreparedBySQL notes a PREPARE that has run: the next reset drops all prepared statements.
func (c *Conn) PreparedBySQL() { c.prepared = true }

// RanUnseen notes that something ran whose tag does not show whether it has run PREPARE. The next reset looks.
func (c *Conn) RanUnseen() { c.unseen = true }

// TLS reports whether I/O has to go through Read and Write.
func (c *Conn) TLS() bool { return c.tls != nil }

// Local reports whether the server is reached by a unix socket.
func (c *Conn) Local() bool { return c.local }

// Socket distinguishes this connection's descriptor from others that have or had its number.
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

// Send sends what the kernel accepts at once, for a message whose answer nobody waits for. It returns how much
// that was: 0 over TLS, or when the connection has ended, which the regular way of sending finds out.
func (c *Conn) Send(p []byte) int {
	if c.tls != nil {
		return 0
	}
	return c.socket.sendNow(p)
}

// SendWhole sends a message whose answer nobody waits for, and reports whether all of it is on its way.
func (c *Conn) SendWhole(p []byte) bool {
	if c.tls == nil {
		return c.socket.sendNow(p) == len(p)
	}
	n, err := c.Write(p)
	return err == nil && n == len(p) && len(c.socket.pending) == 0
}

// Reauthorized reports whether SET SESSION AUTHORIZATION is in force.
func (c *Conn) Reauthorized() bool { return c.altered("session_authorization") }

// Rezoned reports whether TimeZone is not the one the connection began with, as the server reports.
// Parameters may be encoded by it, so a reset's answer has to come first.
func (c *Conn) Rezoned() bool { return c.altered("TimeZone") }

func (c *Conn) altered(name string) bool {
	now, changed := c.params[name]
	return changed && now != c.initial(name)
}

// IsAgain reports whether err means that the socket would block.
func IsAgain(err error) bool { return errors.Is(err, errAgain) }

// Unread gives bytes back that were received behind the end of an I/O.
func (c *Conn) Unread(p []byte) { c.inbuf = append(c.inbuf, p...) }

// Halfway reports whether bytes given back end in the middle of a message; those before it are read.
// The answer to a reset is left for Settle.
func (c *Conn) Halfway() bool {
	if len(c.inbuf) == 0 || c.ResetSent() {
		return false
	}
	if _, ok := c.readFrames(); !ok {
		c.broken = true
		return false
	}
	return len(c.inbuf) > 0
}

// Break marks the connection as unusable: Release will drop it.
func (c *Conn) Break() { c.broken = true }

// Sound reports whether the connection can serve another request: nothing is wrong with it, and no request to
// cancel is under way, which could hit what runs next.
func (c *Conn) Sound() bool { return !c.broken && c.killed.Load() == nil && !c.Cancelling() }

// Unfinished reports whether its statement, or a request to cancel it, may still be under way.
func (c *Conn) Unfinished() bool { return c.running || c.Cancelling() }

// Usable reports whether a statement can be sent: nothing went wrong, and no answer to a reset is to come.
func (c *Conn) Usable() bool {
	phase := c.prelude.state.phase
	return !c.broken && (phase == resetNone || phase == resetPending) && (c.tx == 'I' || c.nest.begun) && c.killed.Load() == nil
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
		c.statements.reported(c.alterations())
	}
}

// parsedUnder lists the settings that the server reports and statements are parsed under.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
var parsedUnder = []string{
	"TimeZone", "DateStyle", "IntervalStyle", "search_path", "session_authorization",
	"standard_conforming_strings", "client_encoding",
}

// alterations names the settings of parsedUnder that are not what the connection began with; "" if none.
func (c *Conn) alterations() string {
	var text strings.Builder
	for _, name := range parsedUnder {
		if c.altered(name) {
			text.WriteString(name + "=" + c.params[name] + "\x00")
		}
	}
	return text.String()
}

// Reports reports whether the server reports each change of a setting, given in lower case.
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

// CompletedLocal follows the settings that Statements.Expect has announced.
func (c *Conn) CompletedLocal() { c.Completed("SET", c.statements.expected) }

// Completed follows a command that the server has completed: the word of its tag and, for one of the
// caller's, its statement.
func (c *Conn) Completed(word string, st *Statement) { c.statements.completed(word, st) }

// Ready follows a ReadyForQuery.
func (c *Conn) Ready(status byte) {
	c.tx = status
	c.statements.ready(status)
}

// cancelTimeout bounds a request to cancel: it has a connection of its own to make.
const cancelTimeout = 2 * time.Second

// Cancel sends a request to cancel what runs on this connection, and calls done when the server has
// accepted it (or could not be reached). Until then nothing else may be sent here, or it could be cancelled.
func (c *Conn) Cancel(done func()) {
	c.cancels.Add(1)
	process.Go(func() {
		defer done()
		defer c.cancels.Add(-1)
		ctx, stop := context.WithTimeout(c.dialer.cancels, cancelTimeout)
		defer stop()
		// Best effort: if the request does not arrive, the caller's grace period ends in Kill.
		_ = c.pg.CancelRequest(ctx)
	})
}

// Cancelling reports whether a request to cancel is under way.
func (c *Conn) Cancelling() bool { return c.cancels.Load() > 0 }

// Condemn marks the connection as one to be dropped at its holder's next step, for this reason.
func (c *Conn) Condemn(why *wire.Fault) { c.killed.CompareAndSwap(nil, why) }

// Kill condemns the connection and ends its I/O at once, under its holder, which closes it.
func (c *Conn) Kill(why *wire.Fault) {
	c.Condemn(why)
	c.socket.Shutdown()
}

// Close sends Terminate if that needs no waiting, and closes the descriptor.
func (c *Conn) Close() {
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
