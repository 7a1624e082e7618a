package connection

import (
	"maps"
	"strings"
)

// baseline is what the on_connect functions have set on a connection. A reset returns to it.
type baseline struct {
	sql    string            // sets it, and returns no row; "": nothing was set
	params map[string]string // the values that the server has reported by then
	script [2]*resetScript   // the usual reset, and the one with a rollback
}

// SetBaseline has each reset end with sql, which sets what is set at present. Statements that were parsed before
// are parsed anew.
func (c *Conn) SetBaseline(sql string) {
	c.baseline = baseline{sql: sql, params: maps.Clone(c.params)}
	c.prepared = true
	if strings.Contains(sql, digitsSetting) {
		c.digits = false // how it prints them is not known
	}
}

// initial is the value that a reset returns a setting to which the server reports.
func (c *Conn) initial(name string) string {
	if value, ok := c.baseline.params[name]; ok {
		return value
	}
	return c.pg.ParameterStatus(name)
}
