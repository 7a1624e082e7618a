package pgtest

import (
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Direction is which way a message goes.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// Kinds of what a client says before messages have a type byte. Raw is a piece of a stream that the
// proxy cannot read: TLS.
const (
	KindStartup byte = 0
	KindTLS     byte = 1
	KindCancel  byte = 2
	KindAnswer  byte = 3 // the server's single byte in answer to KindTLS
	KindRaw     byte = 4
)

// Message is one message that passes through the proxy.
type Message struct {
	Conn      int // number of the connection, from 0; requests to cancel are connections too
	Direction Direction
	Index     int   // number of the message in its direction, from 0
	Start     int64 // bytes that went before it in its direction
	Kind      byte
	Bytes     []byte // all of it, type byte and length included
}

// Proxy stands in front of a server and passes messages on whole, except where a rule says otherwise.
type Proxy struct {
	t        testing.TB
	listener net.Listener
	network  string
	address  string
	tls      *tls.Config // nil: pass TLS on as it is
	wait     sync.WaitGroup

	mu     sync.Mutex // guards all below
	rules  []*Rule
	links  []*link
	seen   []Message
	closed bool
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	raw            chan struct{} // closed once the stream is TLS
	hole           chan struct{} // closed when a black hole has opened: nothing passes any more
	holeOnce       sync.Once
	rawOnce        sync.Once
	asked          atomic.Bool // the client asked for TLS and has no answer yet
}

// NewProxy starts a proxy in front of the test's server. It ends with the test.
func NewProxy(t testing.TB) *Proxy { t.Helper(); return newProxy(t, nil) }

func newProxy(t testing.TB, config *tls.Config) *Proxy {
	t.Helper()
	server, err := pgconn.ParseConfig(Server(t))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{t: t, listener: listener, tls: config}
	p.network, p.address = pgconn.NetworkAddress(server.Host, server.Port)
	p.wait.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// ConnInfo is where db is to be found through the proxy.
func (p *Proxy) ConnInfo(db *DB) map[string]string {
	info := maps.Clone(db.ConnInfo())
	if p.tls != nil {
		info["sslmode"] = "require"
	}
	host, port, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	info["host"], info["port"] = host, port
	return info
}

// Close cuts every connection and stops listening.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for _, l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

// Add sets a rule. Rules are asked in the order they were added; the first that matches acts.
func (p *Proxy) Add(r *Rule) *Rule {
	r.fired = make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, r)
	return r
}

// Forget drops what Seen has collected.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = nil
}

// Seen lists the messages that passed since Forget, of one direction.
func (p *Proxy) Seen(d Direction) []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Message
	for _, m := range p.seen {
		if m.Direction == d {
			list = append(list, m)
		}
	}
	return list
}

// Kinds is the type bytes of Seen, as text.
func (p *Proxy) Kinds(d Direction) string {
	var kinds []byte
	for _, m := range p.Seen(d) {
		kinds = append(kinds, m.Kind)
	}
	return string(kinds)
}

// Connections counts the connections accepted so far, requests to cancel among them.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Send writes bytes of the test's own to the client of a connection.
func (p *Proxy) Send(conn int, b []byte) {
	p.t.Helper()
	p.mu.Lock()
	l := p.links[conn]
	p.mu.Unlock()
	if _, err := l.client.Write(b); err != nil {
		p.t.Fatalf("connection %d: %v", conn, err)
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				p.t.Error(err)
			}
			return
		}
		server, err := net.Dial(p.network, p.address)
		if err != nil { // the server is down: so are we, for this client
			_ = client.Close()
			continue
		}
		if p.tls != nil {
			if client, err = p.terminateTLS(client); err != nil {
				_, _ = client.Close(), server.Close()
				continue
			}
		}
		l := &link{client: client, server: server, raw: make(chan struct{}), hole: make(chan struct{})}
		p.mu.Lock()
		number := len(p.links)
		p.links = append(p.links, l)
		if p.closed {
			l.close()
		}
		p.mu.Unlock()
		p.wait.Go(func() { p.pump(l, number, ToServer) })
		p.wait.Go(func() { p.pump(l, number, ToClient) })
	}
}

func (l *link) close() {
	l.black()
	_ = l.client.Close()
	_ = l.server.Close()
}

func (l *link) black() { l.holeOnce.Do(func() { close(l.hole) }) }

// ends are the reading and the writing end of a direction.
func (l *link) ends(d Direction) (from, to net.Conn) {
	if d == ToServer {
		return l.client, l.server
	}
	return l.server, l.client
}

// pump passes messages on in one direction until an end closes.
func (p *Proxy) pump(l *link, number int, d Direction) {
	from, to := l.ends(d)
	read := newReader(from, l, d)
	var offset int64
	for index := 0; ; index++ {
		kind, b, err := read()
		if err != nil {
			p.passEnd(l, to)
			return
		}
		m := Message{Conn: number, Direction: d, Index: index, Start: offset, Kind: kind, Bytes: b}
		offset += int64(len(b))
		if !p.pass(l, to, m) {
			return
		}
	}
}

// passEnd passes the end of a stream on, unless it fell into a black hole.
func (p *Proxy) passEnd(l *link, to net.Conn) {
	select {
	case <-l.hole:
	default:
		closeWrite(to)
	}
}

// pass passes one message on, or does what a rule says; false ends the direction.
func (p *Proxy) pass(l *link, to net.Conn, m Message) bool {
	r := p.match(m)
	select {
	case <-l.hole:
		return false
	default:
	}
	if r == nil {
		_, err := to.Write(m.Bytes)
		return err == nil
	}
	return r.act(l, to, m)
}

// match finds the rule for a message, and notes the message.
func (p *Proxy) match(m Message) *Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, m)
	for _, r := range p.rules {
		if !r.done && r.matches(m) {
			r.done = !r.Again
			return r
		}
	}
	return nil
}

func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite() // the peer may have gone first
		return
	}
	_ = c.Close()
}

// newReader reads whole messages of one direction, or raw pieces once the stream is TLS.
func newReader(from net.Conn, l *link, d Direction) func() (byte, []byte, error) {
	typed := d == ToClient
	chunk := make([]byte, 64<<10)
	return func() (byte, []byte, error) {
		head := make([]byte, 1, 5)
		if _, err := io.ReadFull(from, head); err != nil {
			return 0, nil, err
		}
		select {
		case <-l.raw:
			n, err := from.Read(chunk)
			if err != nil {
				return KindRaw, head, nil //nolint:nilerr // the byte read is passed on; the next read fails too
			}
			return KindRaw, append(head, chunk[:n]...), nil
		default:
		}
		if d == ToClient && l.answersTLS(head[0]) {
			return KindAnswer, head, nil
		}
		kind, b, err := readMessage(from, head, typed)
		if !typed && err == nil {
			l.noteStartup(kind)
			typed = kind == KindStartup
		}
		return kind, b, err
	}
}

// readMessage reads the rest of a message whose first byte is in head.
func readMessage(from net.Conn, head []byte, typed bool) (byte, []byte, error) {
	kind, skip := head[0], 1
	if !typed {
		skip = 0
	}
	b := append(head, make([]byte, skip+3)...)
	if _, err := io.ReadFull(from, b[1:]); err != nil {
		return 0, nil, err
	}
	n := int(uint32(b[skip])<<24 | uint32(b[skip+1])<<16 | uint32(b[skip+2])<<8 | uint32(b[skip+3]))
	if n < 4 {
		return 0, nil, errors.New("a message of length " + strconv.Itoa(n))
	}
	b = append(b, make([]byte, n-4)...)
	if _, err := io.ReadFull(from, b[skip+4:]); err != nil {
		return 0, nil, err
	}
	if !typed {
		kind = startupKind(b)
	}
	return kind, b, nil
}
