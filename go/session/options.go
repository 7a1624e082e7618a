package session

import (
	"strings"

	"hypern/go/pool"
)

// options are what the scope of a session says about its sessions. They are never changed: what a session adds
// to its own (setLocal) is another value.
type options struct {
	begin    string // the BEGIN ahead of the first statement; "": each statement commits by itself
	deadline string // deadline_secs, for texts; "": none
	label    string
	settings []setting // of each transaction, the role last
}

// none are the options of a session without a scope that has any.
var none = &options{}

// atomic are those of one on an alias whose transactions begin by themselves.
var atomic = &options{begin: "BEGIN"}

// parseOptions reads what hypern_open is given; a view.
func parseOptions(given string, config *pool.Config) *options {
	byAlias := none
	if config.Atomic {
		byAlias = atomic
	}
	if given == "" {
		return byAlias
	}
	texts := strings.Split(strings.Clone(strings.TrimSuffix(given, "\x00")), "\x00")
	o := &options{begin: texts[0], deadline: texts[1], label: texts[2]}
	if o.begin == "default" {
		o.begin = byAlias.begin
	}
	for pair := texts[3:]; len(pair) >= 2; pair = pair[2:] {
		o.settings = append(o.settings, setting{name: pair[0], value: pair[1]})
	}
	return o
}
