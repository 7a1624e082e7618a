package pool

import "hypern/go/wire"

// shared returns why a connection of a nested pool cannot be had; nil: it can. Called with mu held.
func (p *Pool) shared() *wire.Fault {
	if p.config.Nested == 0 || !p.nested || len(p.all) > 0 {
		return nil
	}
	return &wire.Fault{Kind: wire.KindInterface, Message: "the connection that all sessions of the test share is lost, " +
		"and with it all that was done on it; it is not made anew"}
}
