package connection

import "hypern/go/wire"

// keptMax is how many commands of the core's own a connection keeps prepared.
const keptMax = 16

// AppendKept appends a command of the core's own by the name that it is prepared under, once it has one; false where
// the connection keeps none. Should the name be gone, nothing that follows has run.
func (c *Conn) AppendKept(dst []byte, sql string, values []string) ([]byte, bool) {
	s := c.statements
	name, known := s.kept[sql]
	if !known {
		if c.cache != CacheNamed || len(s.kept) >= keptMax {
			return dst, false
		}
		if s.kept == nil {
			s.kept = make(map[string]string)
		}
		name = s.NewName()
		s.kept[sql] = name
		dst = wire.AppendParse(dst, name, sql, nil)
	}
	return wire.AppendExecute(wire.AppendBindText(dst, name, values...)), true
}
