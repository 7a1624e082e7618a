package session

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/wire"
)

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// answer is what the server said in one I/O.
type answer struct {
	fault     *wire.Fault
	commands  int    // CommandComplete and EmptyQueryResponse frames: how far a pipeline came
	ahead     int    // commands that count ahead of those that set the format
	skip      int    // of these, how many precede the statement and are still to complete
	ours      int    // the first commands, which are none of the caller's
	binds     int    // BindComplete frames
	rows      int64  // sum of the tags' numbers
	last      string // the last tag's word
	tagRows   int64  // the last tag's number
	format    format // what is set for the statement: the commands that do it do not count
	many      bool   // guards that have the tag SELECT follow the rows of execute_many
	empty     bool   // the statement had no text
	suspended bool   // PortalSuspended: a stream has more rows
	status    byte   // of the last ReadyForQuery, 0 if there was none
	localAt   uint16 // which of the first commands, from 1, sets what statements are parsed under; 0: none
	copying   byte   // 'G', 'H' or 'W': the server wants or sends copy data
	prepared  bool   // PREPARE by SQL
	unseen    bool   // DO or CALL, whose tags do not tell what they have run
	discarded bool   // all prepared statements are gone
	mapped    bool   // nested: not the server's own words
	params    []byte // body of ParameterDescription
	columns   []byte // body of RowDescription; nil after NoData
	data      [][]string
	level     uint64 // nested: of the savepoint that was set
}

// listener is who follows what the answer says about the connection.
type listener interface {
	TakeParameter(body []byte)
	Completed(word string, st *connection.Statement)
	CompletedLocal()
}

// read takes in the control frames of a step: of the caller's statement st, or nil. Views of ctl are
// cloned where they are kept.
func (a *answer) read(ctl []byte, raw bool, st *connection.Statement, conn listener) error {
	for len(ctl) > 0 {
		f, rest, ok, err := wire.Next(ctl)
		if err != nil || !ok {
			return wire.ErrProtocol
		}
		ctl = rest
		switch f.Kind {
		case 'C':
			if a.format != 0 && a.formats() {
				continue
			}
			tag := wire.ParseTag(f.Body)
			a.commands++
			if a.localAt != 0 && a.commands == int(a.localAt) {
				conn.CompletedLocal()
				continue
			}
			if a.commands <= a.ours || a.many && a.commands > a.ours+1 && tag.Word == "SELECT" && a.last != "SELECT" {
				conn.Completed(tag.Word, nil)
				continue
			}
			a.rows += tag.Rows
			a.last, a.tagRows = tag.Word, tag.Rows
			conn.Completed(tag.Word, st)
			switch tag.Word {
			case "PREPARE":
				a.prepared = true
			case "DO", "CALL":
				a.unseen = true
			case "DEALLOCATE ALL", "DISCARD ALL":
				a.discarded = true
			}
		case abi.Again:
			if len(f.Body) != 4 {
				return wire.ErrProtocol
			}
			n := binary.BigEndian.Uint32(f.Body)
			a.commands += int(n)
			a.rows += int64(n) * a.tagRows
		case 'I':
			a.commands++
			a.empty = true
		case 's':
			a.suspended = true
			conn.Completed("", st) // it has run, though not to its end
		case '2':
			a.binds++
		case 'E':
			if a.fault == nil {
				a.fault = wire.ParseError(f.Body)
			}
		case 'Z':
			if len(f.Body) != 1 || strings.IndexByte("ITE", f.Body[0]) < 0 {
				return wire.ErrProtocol
			}
			a.status = f.Body[0]
		case 'S':
			conn.TakeParameter(f.Body)
		case 't':
			a.params = append([]byte{}, f.Body...)
		case 'T':
			a.columns = append([]byte{}, f.Body...)
		case 'G', 'H', 'W':
			a.copying = f.Kind
		case 'D':
			if raw {
				row, err := wire.TextRow(f.Body)
				if err != nil {
					return err
				}
				a.data = append(a.data, row)
			}
		}
	}
	return nil
}
