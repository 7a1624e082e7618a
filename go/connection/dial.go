package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"hypern/go/process"
)

// Defaults that detect a peer which vanished without closing the connection.
const (
	defaultKeepalive   = 30 * time.Second
	keepaliveCount     = 3
	unacknowledgedTime = 30 * time.Second
)

// open is a net.Dialer that enters its descriptors in the fork table before they connect.
func (d *Dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	keepalive := time.Duration(d.settings.KeepaliveSecs) * time.Second
	if keepalive == 0 {
		keepalive = defaultKeepalive
	}
	var opened sockets
	// The address is a literal one, so that the dialer does nothing before it opens the socket.
	process.BeginOpening()
	entered := sync.OnceFunc(process.EndOpening)
	defer entered()
	probes := net.KeepAliveConfig{
		Enable: true, Idle: keepalive, Interval: max(keepalive/keepaliveCount, time.Second), Count: keepaliveCount,
	}
	if seconds := d.settings.number("keepalives_interval"); seconds > 0 {
		probes.Interval = time.Duration(seconds) * time.Second
	}
	if count := d.settings.number("keepalives_count"); count > 0 {
		probes.Count = count
	}
	unanswered := keepalive + unacknowledgedTime
	if _, given := d.settings.ConnInfo["keepalives"]; given && d.settings.number("keepalives") == 0 {
		probes = net.KeepAliveConfig{Enable: false}
	}
	if _, given := d.settings.ConnInfo["tcp_user_timeout"]; given {
		unanswered = time.Duration(max(0, d.settings.number("tcp_user_timeout"))) * time.Millisecond
	}
	dialer := net.Dialer{
		KeepAlive:       -1,
		KeepAliveConfig: probes,
		Control: func(network, _ string, rc syscall.RawConn) error {
			defer entered()
			var err error
			cerr := rc.Control(func(n uintptr) {
				if err = opened.watch(int(n)); err != nil {
					return
				}
				if strings.HasPrefix(network, "tcp") {
					err = unix.SetsockoptInt(int(n), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT,
						int(unanswered.Milliseconds()))
				}
			})
			return errors.Join(cerr, err)
		},
	}
	nc, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		opened.unwatch(-1)
		return nil, err
	}
	s := &socket{Conn: nc, remote: nc.RemoteAddr(), fd: -1}
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
	ino, err := process.Watch(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inos == nil {
		s.inos = make(map[int]uint64)
	}
	if before, again := s.inos[fd]; again && before != ino { // the one of that number was closed
		process.Unwatch(fd, before)
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
			process.Unwatch(fd, ino)
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

// configFor is the configuration of one dial. A password replaces that of the settings.
func (d *Dialer) configFor(password string) *pgconn.Config {
	pc := d.pgconn.Copy()
	pc.DialFunc = d.open
	d.settings.placeHosts(pc)
	if password != "" {
		pc.Password = password
		if d.settings.requiresTLS() { // RFC 6750: a bearer token is never sent in the clear
			pc.OAuthTokenProvider = func(context.Context) (string, error) { return password, nil }
		}
	}
	preparePassword(pc)
	return pc
}

// Dial makes a connection. It blocks, and needs a goroutine of its own. A password replaces that of the settings.
func (d *Dialer) Dial(ctx context.Context, password string) (*Conn, error) {
	pc := d.configFor(password)
	names := nameHosts(pc)
	pg, err := d.connect(ctx, pc)
	if err != nil {
		return nil, err
	}
	c := &Conn{dialer: d, pg: pg, tx: 'I', fresh: true, statements: newStatements(millis(d.settings.StatementAgeMS))}
	switch nc := pg.Conn().(type) {
	case *tls.Conn:
		c.tls = nc
		c.socket, _ = nc.NetConn().(*socket)
	case *socket:
		c.socket = nc
	}
	if c.socket == nil {
		return nil, fmt.Errorf("unexpected transport %T", pg.Conn())
	}
	if limit := millis(d.settings.ConnectMS); limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	if err := c.prepare(ctx, pc); err != nil {
		_ = pg.Conn().Close()
		return nil, err
	}
	c.where = names.where(c.socket.remote)
	c.fd, c.local = c.socket.fd, c.socket.remote.Network() == "unix"
	c.givenBack = process.Now()
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
