package connection

import (
	"strconv"
	"strings"
)

const digitsSetting = "extra_float_digits"

// printsSQL reads, along with the server's identity, the setting that the server does not report, and the one
// that a pooler may report as another server had it.
const printsSQL = ", pg_catalog.current_setting('" + digitsSetting + "'), pg_catalog.current_setting('DateStyle')"

// knowPrints takes the result of printsSQL: what the connection begins with, and each reset returns to.
func (c *Conn) knowPrints(row []string) {
	if len(row) == 2 {
		digits, err := strconv.Atoi(row[0])
		c.digits = err == nil && digits > 0
		c.otherStyle = row[1] != c.Parameter("DateStyle")
	}
}

// PrintsISO reports whether the server reports that it prints dates in DateStyle ISO, or reported so as the
// connection began, which a reset returns to. After a report that was wrong none is believed.
func (c *Conn) PrintsISO(reset bool) bool {
	if c.otherStyle {
		return false
	}
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
