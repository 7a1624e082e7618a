package sqltext

import "strings"

// Kind is the kind of a token.
type Kind uint8

// The kinds of tokens. Comments and white space separate tokens and are none.
const (
	End    Kind = iota
	Word        // a keyword or an identifier, in lower case (ASCII letters only, as the server folds them)
	Quoted      // a quoted identifier, without its quotes
	String      // a string constant of any form, without its quotes
	Number
	Param  // $1
	Symbol // one byte of an operator or of punctuation
)

// Token is one token; Text is as Kind says. Escaped is a string, or an identifier, that may have a
// character by its number.
type Token struct {
	Kind    Kind
	Text    string
	Escaped bool
}

// Is tells whether the token is this keyword or symbol.
func (t Token) Is(text string) bool { return (t.Kind == Word || t.Kind == Symbol) && t.Text == text }

// Scanner splits a text into tokens by PostgreSQL's lexical rules, with standard_conforming_strings
// on. An unterminated token extends to the end of the text.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html
type Scanner struct {
	text string
	at   int
	// start is where the last token begins; open, that a quote or comment has no end.
	start int
	open  bool
}

// NewScanner starts at the beginning of text.
func NewScanner(text string) *Scanner { return &Scanner{text: text} }

// Next is the next token; its Kind is End after the last one.
func (s *Scanner) Next() Token {
	s.skip()
	if s.at >= len(s.text) {
		return Token{}
	}
	start, c := s.at, s.text[s.at]
	s.start = start
	switch {
	case (c == 'u' || c == 'U') && strings.HasPrefix(s.text[start+1:], `&"`):
		s.at += len("U&")
		return Token{Quoted, s.quoted('"', false), true}
	case isWordStart(c):
		if quote := strings.IndexByte(s.text[s.at:min(s.at+3, len(s.text))], '\''); quote > 0 && isStringPrefix(s.text[start:start+quote]) {
			s.at += quote
			text := s.quoted('\'', c == 'e' || c == 'E')
			for (c == 'e' || c == 'E') && s.continues() {
				text += s.quoted('\'', true)
			}
			return Token{String, text, isEscaped(text, c)}
		}
		for s.at < len(s.text) && isWordPart(s.text[s.at]) {
			s.at++
		}
		return Token{Kind: Word, Text: lower(s.text[start:s.at])}
	case c == '\'':
		return Token{Kind: String, Text: s.quoted('\'', false)}
	case c == '"':
		return Token{Kind: Quoted, Text: s.quoted('"', false)}
	case c >= '0' && c <= '9':
		for s.at < len(s.text) && (isWordPart(s.text[s.at]) && s.text[s.at] != '$' || s.text[s.at] == '.') {
			s.at++
		}
		return Token{Kind: Number, Text: s.text[start:s.at]}
	case c == '$':
		return s.dollar()
	}
	s.at++
	return Token{Kind: Symbol, Text: s.text[start:s.at]}
}

// skip passes over white space and comments, which nest.
func (s *Scanner) skip() {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			s.at++
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexAny(rest, "\r\n")
			if end < 0 {
				end = len(rest)
			}
			s.at += end
		case strings.HasPrefix(rest, "/*"):
			s.comment()
		default:
			return
		}
	}
}

func (s *Scanner) comment() {
	start := s.at
	for depth := 0; s.at < len(s.text); {
		switch rest := s.text[s.at:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			s.at += 2
		case strings.HasPrefix(rest, "*/"):
			s.at += 2
			if depth--; depth == 0 {
				return
			}
		default:
			s.at++
		}
	}
	s.start, s.open = start, true
}

// continues tells whether the string that has just ended goes on in a later line: what follows is white
// space with a line break in it, and another quote, before which the scanner then stands. Comments may
// stand in all lines but the first.
func (s *Scanner) continues() bool {
	at := s.at
	for at < len(s.text) && strings.IndexByte(" \t\f\v", s.text[at]) >= 0 {
		at++
	}
	if at >= len(s.text) || s.text[at] != '\n' && s.text[at] != '\r' {
		return false
	}
	for at < len(s.text) {
		rest := s.text[at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			at++
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexAny(rest, "\r\n")
			if end < 0 {
				return false
			}
			at += end
		case rest[0] == '\'':
			s.at = at
			return true
		default:
			return false
		}
	}
	return false
}

// quoted is what stands between the quotes at the scanner's place, where a doubled quote stands for
// one, and a backslash takes the byte behind it along if escapes says so.
func (s *Scanner) quoted(quote byte, escapes bool) string {
	s.at++
	start := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\\' && escapes:
			s.at++
		case c == quote && s.at+1 < len(s.text) && s.text[s.at+1] == quote:
			s.at++
		case c == quote:
			s.at++
			return s.text[start : s.at-1]
		}
		s.at++
	}
	s.at, s.open = len(s.text), true
	return s.text[start:]
}

// dollar is a parameter, a dollar-quoted string, or a lone dollar sign.
func (s *Scanner) dollar() Token {
	rest := s.text[s.at:]
	end := 1
	for end < len(rest) && isWordPart(rest[end]) && rest[end] != '$' {
		end++
	}
	digits := end > 1 && rest[1] >= '0' && rest[1] <= '9'
	switch {
	case digits:
		end = 1
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		s.at += end
		return Token{Kind: Param, Text: rest[:end]}
	case end < len(rest) && rest[end] == '$':
		tag := rest[:end+1]
		body := rest[len(tag):]
		length := strings.Index(body, tag)
		if length < 0 {
			s.at, s.open = len(s.text), true
			return Token{Kind: String, Text: body}
		}
		s.at += 2*len(tag) + length
		return Token{Kind: String, Text: body[:length]}
	}
	s.at++
	return Token{Kind: Symbol, Text: "$"}
}

// isEscaped tells whether a string whose prefix begins with this letter has a character by its number.
func isEscaped(text string, prefix byte) bool {
	for i := strings.IndexByte(text, '\\'); i >= 0 && i+1 < len(text); {
		c := text[i+1]
		switch prefix {
		case 'u', 'U':
			return true
		case 'e', 'E':
			if c == 'x' || c == 'u' || c == 'U' || c >= '0' && c <= '7' {
				return true
			}
		}
		next := strings.IndexByte(text[i+2:], '\\')
		if next < 0 {
			break
		}
		i += 2 + next
	}
	return false
}

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || c >= '0' && c <= '9' || c == '$' }

func isStringPrefix(word string) bool {
	switch word {
	case "e", "E", "b", "B", "x", "X", "n", "N", "u&", "U&":
		return true
	}
	return false
}

// lower folds ASCII letters, and allocates only where there are any in upper case.
func lower(word string) string {
	for i := range len(word) {
		if word[i] >= 'A' && word[i] <= 'Z' {
			return strings.ToLower(word) // letters beyond ASCII: no keyword has any
		}
	}
	return word
}
