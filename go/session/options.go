package session

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"hypern/go/connection"
	"hypern/go/pool"
	"hypern/go/sqltext"
)

// options are what the scope of a session says about its transactions. They are never changed: set_local makes
// another value.
type options struct {
	begin    string // the BEGIN ahead of the first statement; "": each statement commits by itself
	deadline string // deadline_secs, for texts; "": none
	label    string
	comment  string    // the label as a comment of SQL; "": there is none
	settings []setting // of each transaction, the role last
	extended bool      // set_local has added some

	// What follows from the settings.
	set   command               // sets them; sql is "": there are none
	local *connection.Statement // stands for that where it changes what statements are parsed under; nil: it does not
}

// plain are the options of a session without a scope that has any.
var plain = &options{}

// atomic are those of one on an alias whose transactions begin by themselves.
var atomic = &options{begin: "BEGIN"}

const roleSetting = "role"

// optionsCache has the options that scopes have had lately: many requests have the same ones. Guarded by the registry's
// mu.
type optionsCache map[optionsKey]*options

type optionsKey struct {
	given  string
	atomic bool // the alias's default
}

const optionsMax = 512

// get is what hypern_open is given, a view, as options.
func (c *optionsCache) get(given string, config *pool.Config) *options {
	if given == "" {
		return parseOptions("", config)
	}
	if o := (*c)[optionsKey{given, config.Atomic}]; o != nil {
		return o
	}
	if *c == nil || len(*c) >= optionsMax {
		*c = make(optionsCache)
	}
	o := parseOptions(given, config)
	(*c)[optionsKey{strings.Clone(given), config.Atomic}] = o
	return o
}

// parseOptions reads what hypern_open is given; a view.
func parseOptions(given string, config *pool.Config) *options {
	byAlias := plain
	if config.Atomic {
		byAlias = atomic
	}
	if given == "" {
		return byAlias
	}
	texts := strings.Split(strings.Clone(strings.TrimSuffix(given, "\x00")), "\x00")
	o := &options{begin: texts[0], deadline: texts[1], label: texts[2], comment: labelComment(texts[2])}
	if o.begin == "default" {
		o.begin = byAlias.begin
	}
	for pair := texts[3:]; len(pair) >= 2; pair = pair[2:] {
		o.settings = append(o.settings, setting{name: pair[0], value: pair[1]})
	}
	o.prepare()
	return o
}

// with are the options with more settings, in the place of those of the same name.
func (o *options) with(more []setting) *options {
	changed := *o
	changed.settings, changed.extended = mergeSettings(o.settings, more), true
	changed.prepare()
	return &changed
}

// mergeSettings lists the settings of both, those of `more` in the place of those of the same name, the role last.
func mergeSettings(settings, more []setting) []setting {
	var merged, last []setting
	add := func(s setting) {
		if s.name == roleSetting {
			last = append(last, s)
		} else {
			merged = append(merged, s)
		}
	}
	for _, s := range settings {
		if !hasSetting(more, s.name) {
			add(s)
		}
	}
	for _, s := range more {
		add(s)
	}
	return append(merged, last...)
}

func hasSetting(settings []setting, name string) bool {
	for _, s := range settings {
		if strings.EqualFold(s.name, name) {
			return true
		}
	}
	return false
}

// isSet returns whether there are settings, a role alone not counting.
func (o *options) isSet() bool {
	return len(o.settings) > 0 && o.settings[0].name != roleSetting
}

// keyMax is the longest text by which settings are distinguished.
const keyMax = 200

func (o *options) prepare() {
	o.set, o.local = command{}, nil
	if len(o.settings) == 0 {
		return
	}
	var key strings.Builder
	isEncoded := false
	values := make([]string, 0, 2*len(o.settings))
	for _, s := range o.settings {
		values = append(values, s.name, s.value)
		if name := strings.ToLower(s.name); !sqltext.IsIndifferent(name) {
			key.WriteString(name + "=" + strconv.Quote(s.value) + " ")
			isEncoded = isEncoded || encodedBy(name)
		}
	}
	if key.Len() > 0 {
		text := key.String()
		if len(text) > keyMax {
			sum := sha256.Sum256([]byte(text))
			text = hex.EncodeToString(sum[:])
		}
		o.local = &connection.Statement{SQL: "scope " + text, Effect: sqltext.Effect{Settings: sqltext.SetLocal}}
	}
	o.set = command{sql: setSQL(len(o.settings)), values: values, local: o.local, isEncoded: isEncoded}
}

// encodedBy returns whether C encodes or decodes values by a setting: it has to be known before.
func encodedBy(name string) bool {
	switch name {
	case "timezone", "datestyle", "intervalstyle", "extra_float_digits", "bytea_output", "lc_monetary":
		return true
	}
	return false
}

// setSQL sets n settings for the transaction, one after the other, and returns no row.
func setSQL(n int) string {
	b := []byte("SELECT 1 WHERE pg_catalog.concat(")
	for i := range n {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, "pg_catalog.set_config($"...)
		b = strconv.AppendInt(b, int64(2*i+1), 10)
		b = append(b, ", $"...)
		b = strconv.AppendInt(b, int64(2*i+2), 10)
		b = append(b, ", true)"...)
	}
	return string(append(b, ") IS NULL"...))
}
