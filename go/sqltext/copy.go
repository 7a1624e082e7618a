package sqltext

// Way is which way the data of a COPY goes.
type Way byte

// The ways.
const (
	NoCopy  Way = 0 // it is no COPY, or one of a file or a program of the server's
	CopyIn  Way = 'G'
	CopyOut Way = 'H'
)

// CopyWay returns which way the data of a statement goes. The server alone knows whether the rest of it is right.
func CopyWay(sql string) Way {
	s := NewScanner(sql)
	t := s.Next()
	if !t.Is("copy") {
		return NoCopy
	}
	parens := 0
	for before := t; t.Kind != End; before, t = t, s.Next() {
		switch {
		case t.Is("("):
			parens++
		case t.Is(")"):
			parens--
		case parens != 0 || t.Kind != Word:
		case before.Is("from") && t.Text == "stdin", before.Is("from") && t.Text == "stdout":
			return CopyIn // the server takes either word for the other
		case before.Is("to") && t.Text == "stdout", before.Is("to") && t.Text == "stdin":
			return CopyOut
		}
	}
	return NoCopy
}
