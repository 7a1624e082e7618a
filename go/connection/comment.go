package connection

import "strings"

// Comment has a comment follow the texts that are parsed from now on. Statements with different comments are different
// ones to the server, and have the same plan.
func (s *Statements) Comment(text string) {
	if text == s.comment {
		return
	}
	s.comment, s.noted = text, 0
	if text != "" {
		s.noted = s.env.number("comment " + text)
	}
	s.move()
}

// Commented is a text as the server gets it. Its last line may be a comment by itself.
func (s *Statements) Commented(sql string) string {
	switch {
	case s.comment == "":
		return sql
	case strings.Contains(sql, "--"):
		return sql + "\n" + s.comment
	}
	return sql + " " + s.comment
}
