package session

import (
	"strings"

	"hypern/go/sqltext"
	"hypern/go/wire"
)

const (
	percentHint  = "Write $1, $2, ... with a list of values, or :name with a dict, in place of %s."
	questionHint = "Write $1, $2, ... with a list of values, or :name with a dict, in place of ?."
	nameHint     = "Pass a dict for :name, or write $1, $2, ... for a list of values."
	listHint     = "Write = ANY($1) in place of IN $1; a list of values is one parameter."
)

// placeholderHint says in the fault's hint how parameters are written here, where the text seems to have
// another driver's: the server takes %s for an operator and a column, ? for an operator.
func placeholderHint(fault *wire.Fault, sql string) *wire.Fault {
	switch fault.SQLState {
	case wire.StateSyntaxError, wire.StateUndefinedFunction, "42703": // undefined_column
	default:
		return fault
	}
	if hint := foreignPlaceholder(sql, fault.SQLState == wire.StateSyntaxError); hint != "" {
		return withHint(fault, hint)
	}
	return fault
}

// foreignPlaceholder is the hint for the first placeholder of another driver in a text, or "". refused: the
// text is no SQL at all.
func foreignPlaceholder(sql string, refused bool) string {
	s := sqltext.NewScanner(sql)
	before, t := sqltext.Token{}, s.Next()
	for t.Kind != sqltext.End {
		next := s.Next()
		switch {
		case t.Is("%") && isPercent(next, sql) && !isOperand(before):
			return percentHint
		case refused && t.Is("?") && !isOperand(before) && !next.Is("|") && !next.Is("&"):
			return questionHint
		case refused && t.Is(":") && next.Kind == sqltext.Word && !before.Is(":"):
			return nameHint
		case refused && before.Is("in") && t.Kind == sqltext.Param:
			return listHint
		}
		before, t = t, next
	}
	return ""
}

// isPercent tells whether what follows a % makes it %s or %(name)s.
func isPercent(next sqltext.Token, sql string) bool {
	return next.Is("s") || next.Is("(") && strings.Contains(sql, ")s")
}

// isOperand tells whether an operator behind the token has it for its left side.
func isOperand(t sqltext.Token) bool {
	switch t.Kind {
	case sqltext.Number, sqltext.String, sqltext.Quoted, sqltext.Param:
		return true
	case sqltext.Word:
		switch t.Text {
		case "and", "any", "between", "by", "case", "else", "having", "ilike", "in", "like", "limit", "not", "offset", "on",
			"or", "returning", "select", "set", "then", "values", "when", "where":
			return false
		}
		return true
	}
	return t.Is(")") || t.Is("]")
}
