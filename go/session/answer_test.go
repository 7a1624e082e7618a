package session

import (
	"errors"
	"slices"
	"testing"

	"hypern/go/connection"
	"hypern/go/wire"
)

// answers are whole streams of control frames, as C hands them over.
var answers = [][]byte{
	{},
	[]byte("1\x00\x00\x00\x04t\x00\x00\x00\x06\x00\x00n\x00\x00\x00\x04Z\x00\x00\x00\x05I"),
	[]byte("2\x00\x00\x00\x04C\x00\x00\x00\x0fINSERT 0 2\x00Z\x00\x00\x00\x05T"),
	[]byte("E\x00\x00\x00\x13SERROR\x00C42601\x00\x00Z\x00\x00\x00\x05E"),
	[]byte("I\x00\x00\x00\x04C\x00\x00\x00\x0cDISCARD\x00Z\x00\x00\x00\x05I"),
	[]byte("D\x00\x00\x00\x0c\x00\x01\x00\x00\x00\x02hiS\x00\x00\x00\x08a\x00b\x00"),
}

// heard is a listener that counts.
type heard struct {
	bytes int
	words []string
}

func (h *heard) TakeParameter(body []byte) { h.bytes += len(body) }

func (h *heard) CompletedLocal() { h.words = append(h.words, "SET") }

func (h *heard) Completed(word string, _ *connection.Statement) { h.words = append(h.words, word) }

func TestAnswersAreRead(t *testing.T) {
	var a answer
	if err := a.read(slices.Concat(answers[2], answers[2]), false, nil, &heard{}); err != nil {
		t.Fatal(err)
	}
	if a.commands != 2 || a.binds != 2 || a.rows != 4 || a.last != "INSERT" || a.tagRows != 2 || a.status != 'T' {
		t.Errorf("%+v", a)
	}
	a = answer{}
	if err := a.read(answers[3], false, nil, &heard{}); err != nil || a.fault == nil || a.fault.SQLState != "42601" || a.status != 'E' {
		t.Errorf("%+v, %v", a, err)
	}
	a = answer{}
	if err := a.read(answers[1], false, nil, &heard{}); err != nil || a.params == nil || a.columns != nil {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestNothingOfAnAnswerIsAViewOfItsInput(t *testing.T) {
	ctl := slices.Concat(answers[1], answers[2], answers[3])
	var a answer
	if err := a.read(ctl, false, nil, &heard{}); err != nil {
		t.Fatal(err)
	}
	for i := range ctl {
		ctl[i] = 'x'
	}
	if a.last != "INSERT" || a.fault.SQLState != "42601" || !slices.Equal(a.params, []byte{0, 0}) {
		t.Errorf("%+v", a)
	}
}

func TestACutAnswerIsAProtocolError(t *testing.T) {
	for n := 1; n < len(answers[3]); n++ {
		var a answer
		err := a.read(answers[3][:n], false, nil, &heard{})
		if n == 20 {
			continue // right between the two frames
		}
		if !errors.Is(err, wire.ErrProtocol) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, b := range answers {
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, ctl []byte, raw bool) {
		var a answer
		var h heard
		err := a.read(ctl, raw, nil, &h)
		if err != nil && !errors.Is(err, wire.ErrProtocol) {
			t.Fatal(err)
		}
		if h.bytes+len(a.params)+len(a.columns) > len(ctl) {
			t.Fatal("more was read than there is")
		}
	})
}
