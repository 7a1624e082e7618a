package wire

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Kinds of faults that are the core's own, in the class names of hypern.errors. A fault without a
// kind gets the class of its SQLSTATE.
const (
	KindConfiguration      = "ConfigurationError"
	KindInterface          = "InterfaceError"
	KindSessionClosed      = "SessionClosed"
	KindTransactionAborted = "TransactionAborted"
	KindProgramming        = "ProgrammingError"
	KindNotSupported       = "NotSupportedError"
	KindOperational        = "OperationalError"
	KindPoolTimeout        = "PoolTimeout"
	KindPoolClosed         = "PoolClosed"
	KindConnectionLost     = "ConnectionLost"
	KindCoreUnavailable    = "CoreUnavailable"
)

// SQLSTATEs that the core itself reports or looks at.
const (
	StateNoActiveTransaction  = "25P01"
	StateActiveTransaction    = "25001"
	StateAborted              = "25P02"
	StateQueryCanceled        = "57014"
	StateAdminShutdown        = "57P01"
	StateSavepoint            = "3B001"
	StateDivisionByZero       = "22012"
	StateFeatureNotSupported  = "0A000"
	StateDatatypeMismatch     = "42804"
	StateInvalidText          = "22P02"
	StateUndefinedStatement   = "26000"
	StateSerializationFailure = "40001"

	StateInsufficientPrivilege = "42501"
	StateUndefinedFunction     = "42883"
	StateSyntaxError           = "42601"
)

// Fault is an error as data: the fields of a server's ErrorResponse, or one of the core's own kinds.
// It crosses to Python as JSON; hypern/errors.py makes the exception.
type Fault struct {
	Kind        string `json:"kind,omitempty"`
	SQLState    string `json:"sqlstate,omitempty"`
	Severity    string `json:"severity,omitempty"` // the server sends one; without it the text does not read "PostgreSQL error"
	Message     string `json:"message"`
	Detail      string `json:"detail,omitempty"`
	Hint        string `json:"hint,omitempty"`
	Constraint  string `json:"constraint,omitempty"`
	Schema      string `json:"schema,omitempty"`
	Table       string `json:"table,omitempty"`
	Column      string `json:"column,omitempty"`
	DataType    string `json:"datatype,omitempty"`
	Position    int    `json:"position,omitempty"`
	SQL         string `json:"sql,omitempty"`
	Row         *int64 `json:"row,omitempty"`
	Index       *int64 `json:"index,omitempty"`     // of a batch's statement, from 0
	Statement   int    `json:"statement,omitempty"` // of a script, from 1
	Line        int    `json:"line,omitempty"`      // of a script, from 1
	SafeToRetry bool   `json:"safe_to_retry,omitempty"`
	Cause       *Fault `json:"cause,omitempty"`
	Ticket      string `json:"ticket,omitempty"` // of the pool's Job whose function raised what Python is to raise
	Where       string `json:"-"`                // the server's context: it may hold values, and does not cross
}

// Error is the fault's message and SQLSTATE.
func (f *Fault) Error() string {
	if f.SQLState == "" {
		return f.Message
	}
	return f.Message + " (SQLSTATE " + f.SQLState + ")"
}

// Fatal tells whether the server ends the connection with this error.
func (f *Fault) Fatal() bool { return f.Severity == "FATAL" || f.Severity == "PANIC" }

// sqlMax bounds the SQL text that crosses with a fault.
const sqlMax = 64 << 10

// abridged is the fault with at most the beginning of a very long SQL text.
func (f *Fault) abridged() *Fault {
	if f == nil || len(f.SQL) <= sqlMax && f.Cause == nil {
		return f
	}
	short := *f
	if len(f.SQL) > sqlMax {
		short.SQL = strings.ToValidUTF8(f.SQL[:sqlMax], "") + " ... (" + strconv.Itoa(len(f.SQL)) + " bytes)"
	}
	short.Cause = f.Cause.abridged()
	return &short
}

// JSON is the fault as it crosses to Python.
func (f *Fault) JSON() []byte {
	b, err := json.Marshal(f.abridged())
	if err != nil {
		// A struct of strings and numbers always marshals; a panic here meets the recover barrier.
		panic(err)
	}
	return b
}

// NoMessage stands for what a server should have said.
const NoMessage = "the server reported an error without a message"

// ParseError reads the body of an ErrorResponse or NoticeResponse message.
// https://www.postgresql.org/docs/current/protocol-error-fields.html
func ParseError(body []byte) *Fault {
	f := &Fault{}
	for len(body) > 1 {
		kind := body[0]
		value, rest, ok := CString(body[1:])
		if !ok {
			break
		}
		body = rest
		switch kind {
		case 'S':
			if f.Severity == "" {
				f.Severity = value
			}
		case 'V': // not translated, so it wins
			f.Severity = value
		case 'C':
			f.SQLState = value
		case 'M':
			f.Message = value
		case 'D':
			f.Detail = value
		case 'H':
			f.Hint = value
		case 'P':
			f.Position, _ = strconv.Atoi(value) // a position that is no number is no position
		case 'W':
			f.Where = value
		case 's':
			f.Schema = value
		case 't':
			f.Table = value
		case 'c':
			f.Column = value
		case 'd':
			f.DataType = value
		case 'n':
			f.Constraint = value
		}
	}
	if f.Message == "" {
		f.Message = NoMessage
	}
	return f
}
