package session

import (
	"strconv"
	"strings"

	"hypern/go/abi"
	"hypern/go/sqltext"
	"hypern/go/wire"
)

// copying is a COPY FROM STDIN. The statement goes behind what precedes it and ahead of a Flush: a server that
// reads copy data passes over a Sync, and one that fails first would answer it. So the Sync follows the data, or
// the error that comes in its place.
//
// Encoded, C has rows in place of data. The operation's text is the INSERT of the same columns, whose parameters
// have the types that the rows are encoded for. It is described anew each time, in the transaction that the COPY
// runs in: the server compares binary data with the types of the columns by its length alone.
type copying struct {
	preparation
	encoded bool
}

const (
	binaryFormat           = "(FORMAT binary)"
	stateUndefinedFunction = "42883"
)

func newCopying(c *Call) *copying {
	o := &copying{encoded: c.has(abi.InEncoded)}
	o.init(c, o)
	o.reparse = true
	return o
}

func (o *copying) start(s *Session, c *Call) {
	if !o.encoded && sqltext.CopyWay(s.op.sql) != sqltext.CopyIn {
		c.fail(&wire.Fault{Kind: wire.KindProgramming, SQL: s.op.sql,
			Message: "copy_in_raw() runs a COPY ... FROM STDIN, and this is none"})
		return
	}
	if s.fit(c) {
		s.acquireFor(c, o)
	}
}

func (o *copying) begin(s *Session, c *Call) {
	if o.encoded {
		o.preparation.begin(s, c)
		return
	}
	s.enterScope()
	o.open(s, c)
}

func (o *copying) resume(s *Session, c *Call) {
	switch s.op.phase {
	case phaseCopy, phaseCopyData:
		o.act(s, c)
	default:
		o.preparation.resume(s, c)
	}
}

// send sends the COPY for whose columns C encodes.
func (o *copying) send(s *Session, c *Call, _ bool) {
	s.op.sql, s.op.owned = copyOf(s.op.sql), true
	o.open(s, c)
}

// copyOf is the COPY of the columns that an INSERT by copy_in has.
func copyOf(insert string) string {
	target := strings.TrimPrefix(insert, "INSERT INTO ")
	if at := strings.LastIndex(target, " VALUES ("); at >= 0 { // placeholders follow it
		target = target[:at]
	}
	return "COPY " + target + " FROM STDIN " + binaryFormat
}

func (o *copying) open(s *Session, c *Call) {
	s.own()
	s.remember(s.op.sql)
	c.Head = s.sendPrelude(c.Head, false)
	c.Head = wire.AppendParse(c.Head, "", s.op.sql, nil)
	c.Head = wire.AppendExecute(wire.AppendBindNothing(c.Head, ""))
	c.Head = wire.AppendFlush(c.Head)
	s.beginIO(phaseCopy)
	s.op.got.ours = s.op.prefix
	c.io(abi.IOCopy, 1)
}

// copyAct is what a COPY does next.
type copyAct uint8

const (
	copyWait copyAct = iota // for the server's answer to the COPY
	copySync                // the server has failed, and skips all up to a Sync
	copyFeed                // send the data
	copyStop                // the server sends data
	copyOver
)

// act is what comes next, by what the server has answered so far. ours: commands ahead of the COPY.
func (a *answer) act() copyAct {
	switch {
	case a.status != 0:
		return copyOver
	case a.fault != nil:
		return copySync
	case a.copying == byte(sqltext.CopyIn):
		return copyFeed
	case a.copying != 0:
		return copyStop
	case a.commands > a.ours:
		return copySync
	}
	return copyWait
}

func (o *copying) act(s *Session, c *Call) {
	switch got := &s.op.got; got.act() {
	case copyWait:
		c.io(abi.IOCopy, 1)
	case copySync:
		c.Head = wire.AppendSync(c.Head)
		c.io(0, 1)
	case copyFeed:
		s.op.phase = phaseCopyData
		c.Tail = wire.AppendSync(wire.AppendCopyDone(c.Tail))
		c.Out = wire.AppendSync(wire.AppendCopyFail(c.Out, "the caller has given up"))
		c.Want, c.ZS = abi.WantCopy, 1
	case copyStop:
		s.brokenIO(c, "the server sent data for a COPY FROM STDIN")
	case copyOver:
		o.over(s, c)
	}
}

func (o *copying) over(s *Session, c *Call) {
	got := &s.op.got
	s.ready(got)
	s.forgetStatements(got)
	fault := got.fault
	switch {
	case fault == nil && got.copying == 0:
		fault = &wire.Fault{Kind: wire.KindProgramming, Message: "the statement took no data"}
	case fault == nil:
		c.done(got.tagRows)
		return
	}
	o.locate(fault)
	o.copyFailed(s, c, fault)
}

// copyFailed reports the fault of a COPY.
func (p *preparation) copyFailed(s *Session, c *Call, fault *wire.Fault) {
	if s.op.got.commands < s.op.prefix && s.op.got.status == 'I' {
		s.first = fault // BEGIN itself failed
		s.voidUnbegun()
	}
	if s.op.got.fault != nil {
		p.hintCommit(s)
		s.explainPrelude(fault)
		s.explainAtomic(fault)
		if fault.SQLState == stateUndefinedFunction && strings.HasSuffix(s.op.sql, binaryFormat) {
			fault = withHint(fault, "A column's type has no binary format: cast it to text in a query, or use "+
				"copy_in_raw() or copy_out_raw() with FORMAT text.")
		}
	}
	fault.SQL = s.op.sql
	s.finish(c, fault)
}

// locate reads from the server's context, which is translated, where in the data an error is: "COPY t, line 3,
// column a: ...". What follows the column may be a value.
func (o *copying) locate(fault *wire.Fault) {
	for where := range strings.Lines(fault.Where) {
		rest, isCopy := strings.CutPrefix(where, "COPY ")
		if !isCopy {
			continue
		}
		for place := range strings.SplitSeq(rest, ", ") {
			word, after, _ := strings.Cut(strings.TrimSpace(place), " ")
			number, _, valued := strings.Cut(after, ":")
			line, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			if err != nil || line <= 0 || word == "" {
				continue
			}
			o.atLine(fault, line)
			_, behind, _ := strings.Cut(rest, place)
			if name, ok := strings.CutPrefix(behind, ", "); ok && !valued && fault.Column == "" {
				_, column, _ := strings.Cut(strings.TrimSpace(name), " ")
				fault.Column, _, _ = strings.Cut(column, ": ")
			}
			return
		}
	}
}

// atLine names the line, or the row that it is.
func (o *copying) atLine(fault *wire.Fault, line int64) {
	if row := line - 1; o.encoded {
		fault.Row = &row
		return
	}
	fault.Line = int(line)
}
