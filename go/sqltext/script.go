package sqltext

import "strings"

// Part is one statement of a script.
type Part struct {
	Start, End int    // in bytes, without the semicolon and what surrounds it
	Control    string // the transaction command that it is, such as COMMIT; else ""
}

// Split divides a script into its statements. Lines of pg_dump's that begin with \restrict or \unrestrict
// are blank in the text that it returns, whose every other byte is in its place. Any other command of
// psql is a problem, and so is a COPY whose data would follow in the script.
func Split(script string) (string, []Part, *Problem) {
	var parts []Part
	s := NewScanner(script)
	for {
		part, more, problem := s.part()
		if problem != nil {
			return "", nil, problem
		}
		if part.End > part.Start {
			parts = append(parts, part)
		}
		if !more {
			return s.text, parts, nil
		}
	}
}

// part reads up to the next semicolon that ends a statement: not one in parentheses, as CREATE RULE has,
// nor one in a body between BEGIN ATOMIC and its END. more: there was one.
func (s *Scanner) part() (part Part, more bool, problem *Problem) {
	var words []string // the first ones
	parens, bodies := 0, 0
	isCopy, begins, streams := false, false, false
	for {
		t := s.Next()
		switch {
		case t.Kind == End:
			part.Control = control(words)
			return part, false, nil
		case t.Is(";") && parens == 0 && bodies == 0:
			part.Control = control(words)
			return part, true, nil
		case t.Is(`\`):
			if problem := s.backslash(); problem != nil {
				return part, false, problem
			}
			continue
		}
		if part.End == 0 {
			part.Start = s.start
			isCopy = t.Is("copy")
		}
		part.End = s.at
		switch {
		case t.Is("(") || t.Is("["):
			parens++
		case t.Is(")") || t.Is("]"):
			parens = max(parens-1, 0)
		case t.Kind != Word:
		case isCopy && parens == 0 && streams && (t.Text == "stdin" || t.Text == "stdout"):
			return part, false, problemAt(s.text, part.Start, "COPY with %s is not available in a script; pg_dump --inserts "+
				"writes INSERT in its place", strings.ToUpper(t.Text))
		case begins && t.Text == "atomic" && makesRoutine(words):
			bodies++
		case bodies > 0 && t.Text == "case":
			bodies++
		case bodies > 0 && t.Text == "end":
			bodies--
		}
		begins, streams = t.Is("begin"), t.Is("from") || t.Is("to")
		if len(words) < wordsMax {
			words = append(words, t.Text)
		}
	}
}

// wordsMax is how many of a statement's first tokens tell what kind it is.
const wordsMax = 4

// makesRoutine tells whether these are the first words of CREATE FUNCTION or CREATE PROCEDURE.
func makesRoutine(words []string) bool {
	if len(words) < 2 || words[0] != "create" {
		return false
	}
	rest := words[1:]
	if len(rest) > 2 && rest[0] == "or" && rest[1] == "replace" {
		rest = rest[2:]
	}
	return rest[0] == "function" || rest[0] == "procedure"
}

// control is the transaction command that begins with these words, or "".
func control(words []string) string {
	if len(words) == 0 {
		return ""
	}
	second := ""
	if len(words) > 1 {
		second = words[1]
	}
	switch words[0] {
	case "begin", "commit", "end", "rollback", "abort", "savepoint", "release":
		return strings.ToUpper(words[0])
	case "start", "prepare":
		if second == "transaction" {
			return strings.ToUpper(words[0]) + " TRANSACTION"
		}
	}
	return ""
}

// backslash reads a command of psql, which extends to the end of its line.
func (s *Scanner) backslash() *Problem {
	end := strings.IndexAny(s.text[s.start:], "\r\n")
	if end < 0 {
		end = len(s.text) - s.start
	}
	line := s.text[s.start : s.start+end]
	name := line
	if space := strings.IndexAny(name, " \t;"); space >= 0 {
		name = name[:space]
	}
	if name != `\restrict` && name != `\unrestrict` {
		return problemAt(s.text, s.start, "line %d has %s, a command of psql, which the server does not know",
			LineOf(s.text, s.start), name)
	}
	s.text = s.text[:s.start] + strings.Repeat(" ", len(line)) + s.text[s.start+len(line):]
	s.at = s.start + len(line)
	return nil
}
