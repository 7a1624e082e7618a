package connection

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/text/unicode/norm"
)

// preparePassword has a password that is not ASCII prepared as libpq does it, by SASLprep (RFC 4013),
// where the server asks for SCRAM: pgconn prepares it by PRECIS, which keeps what SASLprep changes, a
// ligature for instance. For md5 and in clear text the password goes as it is, and which of them the
// server wants is known only from its first message. So that is examined on its way to pgconn.
func preparePassword(config *pgconn.Config) {
	password := config.Password
	if isASCII(password) {
		return
	}
	build := config.BuildFrontend
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		config.Password = password // another host may have been asked for SCRAM
		return build(&authWatcher{r: r, onSASL: func() { config.Password = scramKey(saslprep(password)) }}, w)
	}
}

// authWatcher passes on what a server sends, and calls onSASL before it passes on a request for SASL.
type authWatcher struct {
	r      io.Reader
	onSASL func()
	head   []byte // the beginning of a message: its type, length and, of a request, its kind
	skip   int    // what is left of a message that is no request
	done   bool
}

// authenticationSASL is the kind of request that begins SCRAM.
const authenticationSASL = 10

func (a *authWatcher) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if !a.done {
		a.look(p[:n])
	}
	return n, err
}

func (a *authWatcher) look(p []byte) {
	for len(p) > 0 && !a.done {
		if a.skip > 0 {
			n := min(a.skip, len(p))
			a.skip -= n
			p = p[n:]
			continue
		}
		a.head = append(a.head, p[0])
		p = p[1:]
		switch {
		case len(a.head) == 5 && a.head[0] != 'R':
			a.skip = int(binary.BigEndian.Uint32(a.head[1:])) - 4
			a.head = a.head[:0]
		case len(a.head) == 9:
			a.done = true
			if binary.BigEndian.Uint32(a.head[5:]) == authenticationSASL {
				a.onSASL()
			}
		}
	}
}

// scramKey is what pgconn's own preparation leaves alone and SCRAM makes the same key of as of the
// password. SCRAM's hash pads a key with zeros to its block, and takes the hash of a longer one; and
// what holds a control character is sent unprepared.
func scramKey(password string) string {
	switch n := len(password); {
	case n < sha256.BlockSize:
		return password + "\x00"
	case n > sha256.BlockSize:
		sum := sha256.Sum256([]byte(password))
		return string(sum[:]) + "\x00"
	default:
		return password // there is no room for a zero
	}
}

// saslprep prepares a password as PostgreSQL does: what SASLprep does not allow is left as it is, and
// what it forbids or takes for unassigned is looked for before normalization.
func saslprep(password string) string {
	if isASCII(password) || !utf8.ValidString(password) {
		return password
	}
	mapped := make([]rune, 0, len(password))
	for _, r := range password {
		switch {
		case unicode.Is(saslSpaces, r): // before the next: a zero width space is in both
			mapped = append(mapped, ' ')
		case !unicode.Is(saslNothing, r):
			mapped = append(mapped, r)
		}
	}
	if len(mapped) == 0 || !allowed(mapped) {
		return password
	}
	return norm.NFKC.String(string(mapped))
}

// allowed reports whether SASLprep allows the text: no character that it forbids, and right-to-left
// text by itself only.
func allowed(text []rune) bool {
	var rightToLeft, leftToRight bool
	for _, r := range text {
		if unicode.Is(saslForbidden, r) {
			return false
		}
		rightToLeft = rightToLeft || unicode.Is(saslRightToLeft, r)
		leftToRight = leftToRight || unicode.Is(saslLeftToRight, r)
	}
	if !rightToLeft {
		return true
	}
	return !leftToRight && unicode.Is(saslRightToLeft, text[0]) && unicode.Is(saslRightToLeft, text[len(text)-1])
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
