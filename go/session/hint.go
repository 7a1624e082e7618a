package session

import (
	"fmt"
	"strings"

	"hypern/go/wire"
)

// typeNames names the types that a parameter is declared with after its Python value.
var typeNames = map[uint32]string{
	16: "boolean", 20: "bigint", 23: "integer", 701: "double precision", 1082: "date", 1083: "time",
	1114: "timestamp", 1184: "timestamp with time zone", 1186: "interval", 1266: "time with time zone",
	1700: "numeric", 2950: "uuid",
}

const castHint = "Cast the parameters, as in $1::int: nothing else says what type they are."

// hinted says in the fault's hint what can be done about a statement that the server has refused to
// parse for its parameters' types.
func hinted(fault *wire.Fault, declared []uint32) *wire.Fault {
	switch fault.SQLState {
	case "42725", "42P18", "42P08": // ambiguous_function, indeterminate_datatype, ambiguous_parameter
		return withHint(fault, castHint)
	case "42883", "42804", "42846": // undefined_function, datatype_mismatch, cannot_coerce
		var sent []string
		for i, oid := range declared {
			if name := typeNames[oid]; name != "" {
				sent = append(sent, fmt.Sprintf("$%d as %s", i+1, name))
			}
		}
		switch {
		case len(sent) == 0 && fault.SQLState == "42804":
			return withHint(fault, castHint)
		case len(sent) > 0:
			return withHint(fault, fmt.Sprintf("The values' Python types declared %s, as literals would be. "+
				"Pass str(value) where text is meant.", strings.Join(sent, ", ")))
		}
	}
	return fault
}

// withHint adds to the server's own hint.
func withHint(fault *wire.Fault, hint string) *wire.Fault {
	if fault.Hint != "" {
		hint = fault.Hint + " " + hint
	}
	fault.Hint = hint
	return fault
}
