package session

import (
	"fmt"
	"strings"

	"hypern/go/connection"
)

// labelComment is a label as a comment that follows SQL. What could end the comment, or begin another one, is
// percent-encoded, and so is what would make it hard to read.
func labelComment(label string) string {
	if label == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString("/*label='")
	for _, r := range label {
		if r < ' ' || r == 0x7f || strings.ContainsRune("*'%\\", r) {
			fmt.Fprintf(&b, "%%%02X", r)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteString("'*/")
	return b.String()
}

// labels has the label of the session's scope follow its statements on a connection, where the alias wants that.
func (s *Session) labels(conn *connection.Conn) {
	if s.root.Config().SQLComments {
		conn.Statements().Comment(s.scope.comment)
	}
}
