package pool

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"hypern/go/wire"
)

// Defaults that notice a peer which vanished without a word.
const (
	defaultKeepalive   = 30 * time.Second
	keepaliveCount     = 3
	unacknowledgedTime = 30 * time.Second
)

// dialer is a net.Dialer that enters its descriptors in the fork table before they connect.
func (p *Pool) dialer(ctx context.Context, network, address string) (net.Conn, error) {
	keepalive := time.Duration(p.config.KeepaliveSecs) * time.Second
	if keepalive == 0 {
		keepalive = defaultKeepalive
	}
	var opened sockets
	// The address is a literal one, so that the dialer does nothing before it opens the socket.
	beginOpening()
	entered := sync.OnceFunc(endOpening)
	defer entered()
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: keepalive, Interval: max(keepalive/keepaliveCount, time.Second), Count: keepaliveCount,
		},
		Control: func(network, _ string, rc syscall.RawConn) error {
			defer entered()
			var err error
			cerr := rc.Control(func(n uintptr) {
				if err = opened.watch(int(n)); err != nil {
					return
				}
				if strings.HasPrefix(network, "tcp") {
					err = unix.SetsockoptInt(int(n), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT,
						int((keepalive + unacknowledgedTime).Milliseconds()))
				}
			})
			return errors.Join(cerr, err)
		},
	}
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		opened.unwatch(-1)
		return nil, err
	}
	s := &Socket{Conn: nc, remote: nc.RemoteAddr(), FD: -1}
	if s.dialed, err = number(nc); err == nil {
		s.ino = opened.unwatch(s.dialed)
	}
	if err != nil || s.ino == 0 {
		opened.unwatch(-1)
		_ = nc.Close()
		return nil, errors.Join(errors.New("the dialed connection has no descriptor"), err)
	}
	return s, nil
}

// sockets are those that one dial has opened, one after the other or side by side, and their inodes.
type sockets struct {
	mu   sync.Mutex
	inos map[int]uint64
}

func (s *sockets) watch(fd int) error {
	ino, err := watch(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inos == nil {
		s.inos = make(map[int]uint64)
	}
	if before, again := s.inos[fd]; again && before != ino { // the one of that number was closed
		unwatch(fd, before)
	}
	s.inos[fd] = ino
	return nil
}

// unwatch takes all but one out of the fork table, and returns that one's inode. The others are closed.
func (s *sockets) unwatch(but int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for fd, ino := range s.inos {
		if fd != but {
			unwatch(fd, ino)
		}
	}
	return s.inos[but]
}

// number is the descriptor of a connection in Go's poller.
func number(nc net.Conn) (int, error) {
	raw, ok := nc.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("unexpected connection %T", nc)
	}
	rc, err := raw.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	err = rc.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// dial makes a connection. It blocks, on a goroutine of its own.
func (p *Pool) dial(ctx context.Context) (*Conn, error) {
	pc := p.pgconn.Copy()
	pc.DialFunc = p.dialer
	p.mu.Lock()
	if p.password != "" {
		pc.Password = p.password
	}
	p.mu.Unlock()
	preparePassword(pc)
	pg, err := p.connect(ctx, pc)
	if err != nil {
		return nil, err
	}
	c := &Conn{pool: p, pg: pg, Tx: 'I', Fresh: true, Statements: newStatements(millis(p.config.StatementAgeMS)), created: Now()}
	switch nc := pg.Conn().(type) {
	case *tls.Conn:
		c.tls = nc
		c.socket, _ = nc.NetConn().(*Socket)
	case *Socket:
		c.socket = nc
	}
	if c.socket == nil {
		return nil, fmt.Errorf("unexpected transport %T", pg.Conn())
	}
	if limit := millis(p.config.ConnectMS); limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	if err := c.prepare(ctx, pc); err != nil {
		_ = pg.Conn().Close()
		return nil, err
	}
	c.FD, c.local = c.socket.FD, c.socket.remote.Network() == "unix"
	if life := millis(p.config.LifetimeMS); life > 0 {
		// Jitter, so that connections made together do not end together.
		c.expires = c.created.Add(life - time.Duration(rand.Int64N(int64(life)/10+1)))
	}
	return c, nil
}

// prepare finds out what is at the other end, then takes the socket out of Go's poller.
func (c *Conn) prepare(ctx context.Context, config *pgconn.Config) error {
	if err := c.adapt(ctx, config); err != nil {
		return err
	}
	if n := c.pg.Frontend().ReadBufferLen(); n > 0 {
		return fmt.Errorf("the server sent %d bytes nobody asked for", n)
	}
	return c.socket.detach()
}

// connectFault turns a dialing error into a fault. pgconn's texts name user, host and database,
// never the password.
func (p *Pool) connectFault(err error) *wire.Fault {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return &wire.Fault{
			SQLState: pe.Code, Severity: pe.SeverityUnlocalized, Message: cmp.Or(pe.Message, wire.NoMessage), Detail: pe.Detail,
			Hint: pe.Hint, SafeToRetry: true,
		}
	}
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		text = fmt.Sprintf("no connection within %v (connect_timeout_secs): %s", millis(p.config.ConnectMS), text)
	}
	return &wire.Fault{Kind: wire.KindOperational, Message: text, SafeToRetry: true}
}
