package connection

import (
	"strconv"
	"strings"
)

const digitsSetting = "extra_float_digits"

// digitsSQL reads, along with the server's identity, the setting that the server does not report.
const digitsSQL = ", pg_catalog.current_setting('" + digitsSetting + "')"

// knowDigits takes the result of digitsSQL: what the connection begins with, and each reset returns to.
func (c *Conn) knowDigits(row []string) {
	if len(row) == 1 {
		digits, err := strconv.Atoi(row[0])
		c.digits = err == nil && digits > 0
	}
}

// PrintsISO reports whether the server reports that it prints dates in DateStyle ISO, or reported so as the
// connection began, which a reset returns to.
func (c *Conn) PrintsISO(reset bool) bool {
	style := c.Parameter("DateStyle")
	if reset {
		style = c.initial("DateStyle")
	}
	return strings.HasPrefix(style, "ISO")
}

// PrintsDigits reports whether the server prints floats with all their digits, as far as is known: the
// connection began so, and no SET has changed that since. sure: nothing can have changed it unseen.
func (c *Conn) PrintsDigits() (prints, sure bool) {
	e := &c.statements.env
	return c.digits && !e.digits, !c.shared && !e.unseen
}
