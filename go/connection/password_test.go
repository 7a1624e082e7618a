package connection

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func message(kind byte, body string) string {
	return string([]byte{kind, 0, 0, 0, byte(4 + len(body))}) + body
}

func TestARequestForSASLIsNoticedBeforeItIsPassedOn(t *testing.T) {
	const (
		sasl      = "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"
		cleartext = "\x00\x00\x00\x03"
		md5       = "\x00\x00\x00\x05salt"
	)
	for name, test := range map[string]struct {
		said     string
		expected int
	}{
		"SASL":                       {message('R', sasl), 1},
		"SASL after a notice":        {message('N', "Mbe patient\x00\x00") + message('R', sasl), 1},
		"SASL after an empty one":    {message('v', "") + message('R', sasl), 1},
		"clear text":                 {message('R', cleartext), 0},
		"md5":                        {message('R', md5), 0},
		"trust":                      {message('R', "\x00\x00\x00\x00"), 0},
		"SASL inside of a notice":    {message('N', message('R', sasl)) + message('R', md5), 0},
		"what follows the first one": {message('R', md5) + message('R', sasl), 0},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				calls := 0
				w := &authWatcher{r: reader(strings.NewReader(test.said)), onSASL: func() { calls++ }}
				passed, err := io.ReadAll(w)
				require.NoError(t, err)
				assert.Equal(t, test.said, string(passed))
				assert.Equal(t, test.expected, calls)
			})
		}
	}
}

func TestAPasswordIsPreparedAsTheServerDoes(t *testing.T) {
	for given, expected := range map[string]string{
		"plain\x01":          "plain\x01",     // ASCII stays as it is
		"o\ufb03ce":          "office",        // a ligature
		"I\u00adX":           "IX",            // RFC 4013's own example
		"\u2168":             "IX",            // and another
		"a\u200bb\u00a0c":    "a b c",         // spaces
		"e\u0301":            "\u00e9",        // composed
		"\u00ad":             "\u00ad",        // nothing would be left
		"\u0627\u0031":       "\u0627\u0031",  // right to left that ends in a digit: not allowed
		"e\u0301\u0007":      "e\u0301\u0007", // a control character: not allowed
		"e\u0301\U0001f980":  "e\u0301\U0001f980",
		"\xff\ufb03":         "\xff\ufb03", // not UTF-8
		"\u0627\u0031\u0628": "\u0627\u0031\u0628",
	} {
		assert.Equal(t, expected, saslprep(given), "%+q", given)
	}
}

func TestTheKeyOfAPasswordIsThePasswordToTheHash(t *testing.T) {
	sum := func(key string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte("salt"))
		return h.Sum(nil)
	}
	for n := range 130 {
		password := strings.Repeat("x", n)
		assert.True(t, bytes.Equal(sum(password), sum(scramKey(password))), n)
	}
}
