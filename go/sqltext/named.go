package sqltext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is why a text cannot be used as it stands.
type Problem struct {
	Line     int // from 1
	Position int // in characters, from 1
	Message  string
}

func (p *Problem) Error() string { return p.Message }

// problemAt describes what is wrong at a byte offset of a text.
func problemAt(text string, offset int, format string, args ...any) *Problem {
	return &Problem{Line: LineOf(text, offset), Position: CharacterOf(text, offset), Message: fmt.Sprintf(format, args...)}
}

// LineOf is the line of a byte offset, from 1.
func LineOf(text string, offset int) int { return 1 + strings.Count(text[:offset], "\n") }

// CharacterOf is a byte offset as the server counts positions: in characters, from 1.
func CharacterOf(text string, offset int) int { return 1 + utf8.RuneCountInString(text[:offset]) }

// OffsetOf is the byte offset of a position in characters, from 1.
func OffsetOf(text string, position int) int {
	for offset := range text {
		if position--; position == 0 {
			return offset
		}
	}
	return len(text)
}

// Named replaces each :name of a text by a $n, equal names by the same, and returns the names in the
// order of their numbers. Inside square brackets a colon separates the bounds of a slice: a parameter
// there stands in parentheses. A text without names is returned as it is.
func Named(text string) (string, []string, *Problem) {
	var out strings.Builder
	var names []string
	numbers := make(map[string]int)
	copied, param := 0, -1
	var brackets []byte
	s := NewScanner(text)
	for t := s.Next(); t.Kind != End; t = s.Next() {
		if t.Kind == Param && param < 0 {
			param = s.start
		}
		switch {
		case t.Kind != Symbol:
			continue
		case t.Text == "(" || t.Text == "[":
			brackets = append(brackets, t.Text[0])
			continue
		case t.Text == ")" || t.Text == "]":
			brackets = brackets[:max(len(brackets)-1, 0)]
			continue
		case t.Text != ":":
			continue
		}
		start := s.start
		if s.at < len(text) && text[s.at] == ':' { // a cast
			s.at++
			continue
		}
		inSlice := len(brackets) > 0 && brackets[len(brackets)-1] == '['
		if inSlice || s.at >= len(text) || !isWordStart(text[s.at]) {
			continue
		}
		for s.at < len(text) && isWordPart(text[s.at]) {
			s.at++
		}
		name := text[start+1 : s.at]
		number := numbers[name]
		if number == 0 {
			names = append(names, name)
			number = len(names)
			numbers[name] = number
		}
		out.WriteString(text[copied:start])
		if start > 0 && isWordPart(text[start-1]) {
			out.WriteByte(' ') // a$1 is a word
		}
		out.WriteString("$" + strconv.Itoa(number))
		copied = s.at
	}
	switch {
	case s.open && (names != nil || strings.IndexByte(text, ':') >= 0):
		line := LineOf(text, s.start)
		return "", nil, problemAt(text, s.start, "the quote or comment that begins in line %d of the SQL text has no end", line)
	case names == nil:
		return text, nil, nil
	case param >= 0:
		return "", nil, problemAt(text, param, "the SQL text has both :%s and %s; write all parameters one way", names[0], paramAt(text, param))
	}
	out.WriteString(text[copied:])
	return out.String(), names, nil
}

func paramAt(text string, offset int) string {
	s := Scanner{text: text, at: offset}
	return s.Next().Text
}

// Mark is a parameter or a quoted identifier of a text.
type Mark struct {
	Start, End int // in bytes
}

// Marks are the parameters and quoted identifiers of a text, in their order. They show whether
// something that was put into a text has become what it was meant to be, or part of a string.
func Marks(text string) []Mark {
	var marks []Mark
	s := NewScanner(text)
	for t := s.Next(); t.Kind != End; t = s.Next() {
		if t.Kind == Param || t.Kind == Quoted && !s.open {
			marks = append(marks, Mark{s.start, s.at})
		}
	}
	return marks
}
