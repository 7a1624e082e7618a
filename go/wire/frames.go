package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// ErrProtocol is returned for bytes that cannot be a PostgreSQL message.
var ErrProtocol = errors.New("the server sent a malformed message")

// Frame is one message of the server: its type byte and its body, a view of the input.
type Frame struct {
	Kind byte
	Body []byte
}

// Next splits the first whole frame off b. ok is false when b holds no whole frame yet.
func Next(b []byte) (f Frame, rest []byte, ok bool, err error) {
	if len(b) < 5 {
		return Frame{}, b, false, nil
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n < 4 || n > MaxFrame {
		return Frame{}, b, false, ErrProtocol
	}
	if uint64(len(b)) < uint64(n)+1 {
		return Frame{}, b, false, nil
	}
	return Frame{b[0], b[5 : n+1]}, b[n+1:], true, nil
}

// CString splits a zero-terminated string off b.
func CString(b []byte) (s string, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", b, false
	}
	return string(b[:i]), b[i+1:], true
}

// Tag is the command tag of a CommandComplete message.
type Tag struct {
	Word string // the command: "INSERT", "SELECT", "ROLLBACK", "DEALLOCATE ALL"
	Rows int64  // rows affected or returned; 0 where the tag has no number
}

// ParseTag reads the body of a CommandComplete message. The words of common commands are not
// allocated anew.
func ParseTag(body []byte) Tag {
	body = bytes.TrimSuffix(body, []byte{0})
	word := body
	var rows int64
	if i := bytes.LastIndexByte(body, ' '); i >= 0 {
		if n, err := strconv.ParseInt(string(body[i+1:]), 10, 64); err == nil {
			rows, word = n, body[:i]
			if j := bytes.IndexByte(word, ' '); j >= 0 { // INSERT oid rows
				word = word[:j]
			}
		}
	}
	return Tag{Word: intern(word), Rows: rows}
}

// String is the tag as the server sends it.
func (t Tag) String() string {
	switch t.Word {
	case "INSERT":
		return fmt.Sprintf("INSERT 0 %d", t.Rows)
	case "SELECT", "UPDATE", "DELETE", "MERGE", "MOVE", "FETCH", "COPY":
		return fmt.Sprintf("%s %d", t.Word, t.Rows)
	}
	return t.Word
}

func intern(word []byte) string {
	switch string(word) {
	case "SELECT":
		return "SELECT"
	case "INSERT":
		return "INSERT"
	case "UPDATE":
		return "UPDATE"
	case "DELETE":
		return "DELETE"
	case "BEGIN":
		return "BEGIN"
	case "COMMIT":
		return "COMMIT"
	case "ROLLBACK":
		return "ROLLBACK"
	}
	return string(word)
}

// ParameterOIDs reads the body of a ParameterDescription message.
func ParameterOIDs(body []byte) ([]uint32, error) {
	if len(body) < 2 {
		return nil, ErrProtocol
	}
	n := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if len(body) != 4*n {
		return nil, ErrProtocol
	}
	oids := make([]uint32, n)
	for i := range oids {
		oids[i] = binary.BigEndian.Uint32(body[4*i:])
	}
	return oids, nil
}

// SameColumns tells whether two bodies of RowDescription messages name the same columns with the same
// types. Where a column comes from and its format are not compared.
func SameColumns(a, b []byte) bool {
	if len(a) < 2 || len(b) < 2 || a[0] != b[0] || a[1] != b[1] {
		return false
	}
	const fixed, typeAt = 18, 6 // after the name: table, attribute, type, size, modifier, format
	n := binary.BigEndian.Uint16(a)
	a, b = a[2:], b[2:]
	for range n {
		nameA, restA, okA := CString(a)
		nameB, restB, okB := CString(b)
		if !okA || !okB || nameA != nameB || len(restA) < fixed || len(restB) < fixed ||
			!bytes.Equal(restA[typeAt:typeAt+4], restB[typeAt:typeAt+4]) {
			return false
		}
		a, b = restA[fixed:], restB[fixed:]
	}
	return true
}

// Columns reads the names and the types of the columns in the body of a RowDescription message.
func Columns(body []byte) (names []string, types []uint32, ok bool) {
	if len(body) < 2 {
		return nil, nil, false
	}
	const fixed, typeAt = 18, 6 // as in SameColumns
	n := binary.BigEndian.Uint16(body)
	body = body[2:]
	for range n {
		name, rest, ok := CString(body)
		if !ok || len(rest) < fixed {
			return nil, nil, false
		}
		names = append(names, name)
		types = append(types, binary.BigEndian.Uint32(rest[typeAt:]))
		body = rest[fixed:]
	}
	return names, types, len(body) == 0
}

// TextRow reads the body of a DataRow message whose columns are in text format; NULL is "".
func TextRow(body []byte) ([]string, error) {
	if len(body) < 2 {
		return nil, ErrProtocol
	}
	row := make([]string, binary.BigEndian.Uint16(body))
	body = body[2:]
	for i := range row {
		if len(body) < 4 {
			return nil, ErrProtocol
		}
		n := int32(binary.BigEndian.Uint32(body))
		body = body[4:]
		if n < 0 {
			continue
		}
		if int64(n) > int64(len(body)) {
			return nil, ErrProtocol
		}
		row[i], body = string(body[:n]), body[n:]
	}
	return row, nil
}
