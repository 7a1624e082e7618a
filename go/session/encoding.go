package session

import (
	"hypern/go/abi"
	"hypern/go/wire"
)

// encodingFault is for a statement that has changed client_encoding.
func (s *Session) encodingFault() *wire.Fault {
	return &wire.Fault{Kind: wire.KindNotSupported, SQL: s.op.sql, Message: "client_encoding must stay UTF8, since all text " +
		"is sent and read as UTF-8; the change to " + s.conn.Encoding() + " was undone",
		Hint: "Use convert_to() and convert_from() for text in another encoding."}
}

// restoresEncoding returns whether the operation that is about to end has changed client_encoding: all
// text is sent and read as UTF-8, and would be stored wrong. Then it is set back first, and the
// operation fails; an open stream ends. In an aborted transaction the rollback sets it back.
func (s *Session) restoresEncoding(c *Call) bool {
	if s.conn == nil || s.conn.Encoding() == "" || s.conn.Tx() == 'E' || s.op.phase == phaseNone {
		return false
	}
	fault := c.Fault
	if fault == nil {
		fault = s.encodingFault()
	}
	c.Want, c.Fault, c.Stream = abi.WantIO, nil, 0
	if st := s.stream; st != nil && st.own { // its rollback sets it back
		s.stream = nil
		(&streamEnd{stream: st, fault: fault}).send(s, c, "ROLLBACK")
		return true
	}
	if s.stream != nil {
		s.portals = append(s.portals, s.stream.portal())
		s.stream = nil
	}
	s.op.outcome = outcome{abi.WantFail, 0, fault}
	c.Head, s.op.prefix = c.Head[:0], 0
	s.sendQuery(c, phaseEncoding, "SET client_encoding TO 'UTF8'")
	return true
}

// encodingRestored ends the operation that restoresEncoding has prolonged.
func (s *Session) encodingRestored(c *Call) {
	if !s.nests() || s.tx.server != 'I' { // else the transaction is not the session's
		s.tx = s.tx.transition(evReady, s.op.got.status)
	}
	if s.op.got.fault != nil {
		c.fail(s.lose("client_encoding could not be set back to UTF8", true))
		return
	}
	s.op.phase = phaseNone
	c.Want, c.Count, c.Fault = s.op.outcome.want, s.op.outcome.count, s.op.outcome.fault
}
