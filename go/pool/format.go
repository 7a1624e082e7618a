package pool

import (
	"strconv"
	"strings"
)

// digitsSQL asks, along with the server's identity, for the setting that the server does not report.
const digitsSQL = ", pg_catalog.current_setting('extra_float_digits')"

// knowDigits takes in what digitsSQL gave: what the connection begins with, and each reset returns to.
func (c *Conn) knowDigits(row []string) {
	if len(row) == 1 {
		digits, err := strconv.Atoi(row[0])
		c.digits = err == nil && digits > 0
	}
}

// PrintsISO tells whether the server is known to print dates in DateStyle ISO. Behind a pooler the server
// that prints may be another one than that which reported.
func (c *Conn) PrintsISO() bool {
	return !c.Shared && strings.HasPrefix(c.Parameter("DateStyle"), "ISO")
}

// PrintsDigits tells whether the server is known to print floats with all their digits: the connection
// began so, and no statement is known to have set anything that is not reported.
func (c *Conn) PrintsDigits() bool {
	return !c.Shared && c.digits && c.Statements.env.place.history == 0
}
