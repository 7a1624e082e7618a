// Package wire encodes and decodes PostgreSQL's protocol messages (version 3) and the records that
// cross to the C extension. It is pure Go and does no I/O.
package wire

import (
	"encoding/binary"
	"math"
	"slices"
)

// MaxFrame is the longest message body the core accepts.
const MaxFrame = 1 << 30

func begin(dst []byte, kind byte) ([]byte, int) {
	dst = append(dst, kind, 0, 0, 0, 0)
	return dst, len(dst) - 4
}

func end(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

func text(dst []byte, s string) []byte {
	return append(append(dst, s...), 0)
}

// AppendParse appends a Parse message. oids declares the types of the first parameters; none lets
// the server infer all of them.
func AppendParse(dst []byte, name, sql string, oids []uint32) []byte {
	dst, at := begin(slices.Grow(dst, len(name)+len(sql)+64), 'P') // a long text is copied once
	dst = text(text(dst, name), sql)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(oids)))
	for _, oid := range oids {
		dst = binary.BigEndian.AppendUint32(dst, oid)
	}
	return end(dst, at)
}

// AppendDescribe appends a Describe message for a statement ('S') or portal ('P').
func AppendDescribe(dst []byte, kind byte, name string) []byte {
	dst, at := begin(dst, 'D')
	return end(text(append(dst, kind), name), at)
}

// AppendClose appends a Close message for a statement ('S') or portal ('P').
func AppendClose(dst []byte, kind byte, name string) []byte {
	dst, at := begin(dst, 'C')
	return end(text(append(dst, kind), name), at)
}

// AppendBindHead appends the part of a Bind message that precedes its body of bodyLen bytes: formats,
// values and result formats, which the caller sends right behind it.
func AppendBindHead(dst []byte, portal, statement string, bodyLen int) []byte {
	dst = append(dst, 'B')
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+len(portal)+1+len(statement)+1+bodyLen))
	return AppendBindNames(dst, portal, statement)
}

// AppendBindNames appends the names a Bind message starts with.
func AppendBindNames(dst []byte, portal, statement string) []byte {
	return text(text(dst, portal), statement)
}

// AppendBindNothing appends a whole Bind message without parameters, results in text.
func AppendBindNothing(dst []byte, statement string) []byte {
	return append(AppendBindHead(dst, "", statement, 6), 0, 0, 0, 0, 0, 0)
}

// AppendBindText appends a Bind message with text parameters and text results.
func AppendBindText(dst []byte, statement string, params ...string) []byte {
	dst, at := begin(dst, 'B')
	dst = AppendBindNames(dst, "", statement)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(params)))
	for _, p := range params {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(p)))
		dst = append(dst, p...)
	}
	return end(binary.BigEndian.AppendUint16(dst, 0), at)
}

// AppendBindValues appends a Bind message with text parameters, of which some may be NULL, and text
// results.
func AppendBindValues(dst []byte, portal, statement string, params []*string) []byte {
	dst, at := begin(dst, 'B')
	dst = AppendBindNames(dst, portal, statement)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(params)))
	for _, p := range params {
		if p == nil {
			dst = binary.BigEndian.AppendUint32(dst, math.MaxUint32)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(*p)))
		dst = append(dst, *p...)
	}
	return end(binary.BigEndian.AppendUint16(dst, 0), at)
}

// AppendExecute appends an Execute message for the unnamed portal without a row limit: a limit
// would keep the server from planning parallel execution.
func AppendExecute(dst []byte) []byte {
	return append(dst, 'E', 0, 0, 0, 9, 0, 0, 0, 0, 0)
}

// AppendExecuteChunk appends an Execute message for at most limit rows of a portal; 0 is no limit.
func AppendExecuteChunk(dst []byte, portal string, limit int32) []byte {
	dst, at := begin(dst, 'E')
	return end(binary.BigEndian.AppendUint32(text(dst, portal), uint32(limit)), at)
}

// AppendSync appends a Sync message.
func AppendSync(dst []byte) []byte { return append(dst, 'S', 0, 0, 0, 4) }

// AppendFlush appends a Flush message.
func AppendFlush(dst []byte) []byte { return append(dst, 'H', 0, 0, 0, 4) }

// AppendCopyDone appends a CopyDone message.
func AppendCopyDone(dst []byte) []byte { return append(dst, 'c', 0, 0, 0, 4) }

// AppendTerminate appends a Terminate message.
func AppendTerminate(dst []byte) []byte { return append(dst, 'X', 0, 0, 0, 4) }

// AppendQuery appends a simple Query message. It carries only text of the core's own.
func AppendQuery(dst []byte, sql string) []byte {
	dst, at := begin(dst, 'Q')
	return end(text(dst, sql), at)
}

// AppendCopyFail appends a CopyFail message with its reason.
func AppendCopyFail(dst []byte, reason string) []byte {
	dst, at := begin(dst, 'f')
	return end(text(dst, reason), at)
}
