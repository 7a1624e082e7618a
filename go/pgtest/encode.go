package pgtest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"hypern/go/wire"
)

// plan is a statement's description, as WANT_ENCODE hands it over.
type plan struct {
	number  uint64
	params  []uint32
	columns []string
	zone    string
}

// parsePlan reads the description that the header describes under WANT_ENCODE.
func parsePlan(number uint64, out []byte) (*plan, error) {
	params, out, err := section(out)
	if err != nil {
		return nil, err
	}
	columns, out, err := section(out)
	if err != nil {
		return nil, err
	}
	zone, out, err := section(out)
	if err != nil {
		return nil, err
	}
	if _, out, err = section(out); err != nil { // the declared types
		return nil, err
	}
	if len(out) != 0 {
		return nil, errors.New("the description goes on behind its end")
	}
	p := &plan{number: number, zone: string(zone)}
	if p.params, err = wire.ParameterOIDs(params); err != nil {
		return nil, err
	}
	p.columns, err = columnNames(columns)
	return p, err
}

func section(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errors.New("the description is cut short")
	}
	n := binary.NativeEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, errors.New("the description is shorter than it says")
	}
	return b[4 : 4+n], b[4+n:], nil
}

func columnNames(body []byte) ([]string, error) {
	if len(body) == 0 { // NoData
		return nil, nil
	}
	const fixed = 18 // table, attribute, type, size, modifier, format
	names := make([]string, binary.BigEndian.Uint16(body))
	body = body[2:]
	for i := range names {
		name, rest, ok := wire.CString(body)
		if !ok || len(rest) < fixed {
			return nil, errors.New("a column's description is cut short")
		}
		names[i], body = name, rest[fixed:]
	}
	return names, nil
}

// encode is the body of a Bind: every parameter and every result as text. nil is NULL.
func (p *plan) encode(params []any) ([]byte, error) {
	if len(params) != len(p.params) {
		return nil, fmt.Errorf("%d parameters given, %d wanted", len(params), len(p.params))
	}
	b := []byte{0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(params)))
	for _, v := range params {
		if v == nil {
			b = binary.BigEndian.AppendUint32(b, 1<<32-1)
			continue
		}
		text := fmt.Sprint(v)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return append(b, 0, 0), nil
}
