package pgtest

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"

	"golang.org/x/sys/unix"

	"hypern/go/abi"
	"hypern/go/session"
	"hypern/go/wire"
)

// feed makes the messages of one more row; ok is false after the last one.
type feed func() (messages []byte, ok bool, err error)

// feed encodes the rows of execute_many one by one.
func (o *operation) feed() feed {
	p := o.session.driver.plan(o.session.alias, o.sql)
	next, stop := iter.Pull(o.rows)
	o.stop = stop
	names := slices.Clone(o.call.Head)
	return func() ([]byte, bool, error) {
		params, ok := next()
		if !ok {
			return nil, false, nil
		}
		body, err := p.encode(params)
		if err != nil {
			return nil, false, err
		}
		b := binary.BigEndian.AppendUint32([]byte{'B'}, uint32(4+len(names)+len(body)))
		return wire.AppendExecute(slices.Concat(b, names, body)), true, nil
	}
}

// round is one I/O: what is still to be sent, and what was received for the core.
type round struct {
	out     []byte
	more    feed
	tail    []byte
	ctl     []byte
	zs      int
	rows    bool // DataRows are the statement's result
	raw     bool // DataRows are the core's
	copy    bool // what ends a COPY ends the I/O
	early   bool // a frame ended the I/O before its ReadyForQuery
	erred   bool // the server reported an error
	flags   uint32
	errno   int32
	sent    int64
	sendErr error
}

// exchange sends and receives at once, until the answer is complete and all is sent.
func (o *operation) exchange(out []byte, more feed) {
	s := o.session
	r := &round{out: out, more: more, tail: slices.Clone(o.call.Tail), zs: o.call.ZS,
		rows: o.call.IOFlags&abi.IORows != 0, raw: o.call.IOFlags&abi.IORaw != 0,
		copy: o.call.IOFlags&abi.IOCopy != 0}
	if more != nil {
		r.zs = 1
	}
	tls := o.call.IOFlags&abi.IOTLS != 0
	fd := o.call.FD
	asked := false
	for {
		o.send(r, fd, tls)
		if !asked && len(r.out) == 0 && r.more == nil {
			asked = true
			switch o.ask(true) {
			case Abandon:
				o.step(session.Call{Op: abi.OpAbandon})
				return
			case HangUp:
				r.flags |= abi.InEOF
				o.finish(r)
				return
			case Serve, TimeOut:
			}
		}
		if o.scan(r) != nil {
			r.flags, r.errno = r.flags|abi.InEOF, int32(unix.EPROTO)
			break
		}
		if (r.zs == 0 || r.early) && len(r.out) == 0 && r.more == nil {
			break
		}
		if n, err := o.receive(fd, tls); n == 0 && err == nil {
			r.flags |= abi.InEOF
			break
		} else if err != nil && !errors.Is(err, unix.EAGAIN) {
			r.flags |= abi.InEOF
			var errno unix.Errno
			if errors.As(err, &errno) {
				r.errno = int32(errno)
			}
			break
		} else if err == nil {
			continue
		}
		if r.more != nil && len(r.out) == 0 {
			continue // the server has said nothing against it: on to the next row
		}
		events := int16(unix.POLLIN)
		if len(r.out) > 0 {
			events |= unix.POLLOUT
		}
		if !poll(fd, events, int(stuckAfter.Milliseconds())) {
			s.t.Fatalf("no answer in time to %q", o.sql)
		}
	}
	o.finish(r)
}

// finish hands the round over to the core.
func (o *operation) finish(r *round) {
	in := session.Call{Flags: r.flags, Ctl: r.ctl, Sent: r.sent, Errno: r.errno}
	if o.failed != nil && !r.erred {
		in.Flags |= abi.InCancelled
	}
	if !r.early && r.flags&abi.InEOF == 0 {
		in.Extra, o.session.in = o.session.in, nil
	}
	o.step(in)
}

// send sends what the socket takes, and asks for the next row when nothing is left.
func (o *operation) send(r *round, fd int, tls bool) {
	if len(r.out) == 0 && r.more != nil {
		o.nextRow(r)
	}
	for len(r.out) > 0 {
		n, err := o.write(fd, tls, r.out)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			r.out, r.more, r.sendErr = nil, nil, err // what the server said before it went is still read
			return
		}
		r.sent += int64(n)
		r.out = r.out[n:]
	}
}

func (o *operation) nextRow(r *round) {
	messages, ok, err := []byte(nil), false, error(nil)
	if !r.erred {
		messages, ok, err = r.more()
	}
	switch {
	case ok:
		r.out = messages
	case r.erred || err != nil:
		o.failed = err
		r.out, r.more = wire.AppendSync(nil), nil
	default:
		r.out, r.more = r.tail, nil
	}
}

// scan sorts the frames received: rows for the result, all else for the core.
func (o *operation) scan(r *round) error {
	s := o.session
	for r.zs > 0 && !r.early {
		f, rest, ok, err := wire.Next(s.in)
		if err != nil || !ok {
			return err
		}
		whole := s.in[:len(s.in)-len(rest)]
		s.in = rest
		switch f.Kind {
		case 'D':
			if r.rows {
				row, err := wire.TextRow(f.Body)
				if err != nil {
					return err
				}
				o.result.Rows = append(o.result.Rows, row)
			}
			if !r.raw {
				continue
			}
		case 'd':
			continue
		case 'Z':
			r.zs--
		case 'E':
			r.erred = true
			if r.rows {
				o.result.Rows = nil
			}
			r.early = r.copy
		case 'C', 'I':
			r.early = r.copy
		case 'G', 'H':
			r.early = r.rows || r.copy
		case 'T', 'W':
			r.early = r.rows
		}
		r.ctl = append(r.ctl, whole...)
	}
	return nil
}

// receive appends what has arrived to s.in: a count, (0, nil) at the end, or EAGAIN.
func (o *operation) receive(fd int, tls bool) (int, error) {
	var chunk [64 << 10]byte
	var n int
	var err error
	if tls {
		n, err = transported(o.session.Core.Transport(false, chunk[:]))
	} else {
		n, _, err = unix.Recvfrom(fd, chunk[:], unix.MSG_DONTWAIT)
	}
	if errors.Is(err, unix.EINTR) {
		err = unix.EAGAIN
	}
	if err == nil {
		o.session.in = append(o.session.in, chunk[:n]...)
	}
	return n, err
}

func (o *operation) write(fd int, tls bool, b []byte) (int, error) {
	if !tls {
		return unix.SendmsgN(fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
	n, err := transported(o.session.Core.Transport(true, b))
	if err == nil && n == len(b) { // the last piece: see to it that the kernel has it all
		for {
			_, err := transported(o.session.Core.Transport(true, nil))
			if !errors.Is(err, unix.EAGAIN) {
				return n, err
			}
			poll(fd, unix.POLLOUT, int(stuckAfter.Milliseconds()))
		}
	}
	return n, err
}

// transported is hypern_transport's answer as a system call's.
func transported(n int64) (int, error) {
	switch n {
	case abi.IOAgain:
		return 0, unix.EAGAIN
	case abi.IOFailed:
		return 0, unix.EIO
	}
	return int(n), nil
}

// poll waits for events on fd, at most ms milliseconds.
func poll(fd int, events int16, ms int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, ms)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

func nativeWords(words []uint32) string {
	var b []byte
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return string(b)
}
