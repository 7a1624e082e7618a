// Package main is the core as a C shared library: the exported functions of hypern_abi.h, each a
// recover barrier around a call into package session. Nothing is decided here.
//
// Handles go through gopyh. It is given opaque references only, since its trace prints what it holds.
package main

import (
	"github.com/go-python/gopy/gopyh"

	"hypern/go/process"
	"hypern/go/session"
	"hypern/go/wire"
)

// reference hides a session from gopyh's trace behind a pointer.
type reference struct{ session *session.Session }

const handleType = "session"

var registry = session.NewRegistry()

// register gives a session the handle that C knows it by.
func register(s *session.Session) int64 {
	h := gopyh.Register(handleType, &reference{s})
	gopyh.IncRef(h)
	return int64(h)
}

func release(handle int64) { gopyh.DecRef(gopyh.CGoHandle(handle)) }

func lookup(handle int64) (*session.Session, *wire.Fault) {
	v, err := gopyh.VarFromHandleTry(gopyh.CGoHandle(handle), handleType)
	if err != nil {
		return nil, &wire.Fault{Kind: wire.KindInterface, Message: "unknown session handle"}
	}
	return v.(*reference).session, nil
}

// unavailable is what every call says after a panic.
func unavailable() *wire.Fault {
	return &wire.Fault{Kind: wire.KindCoreUnavailable,
		Message: "the database core has stopped after an internal error; restart the process"}
}

// guard runs fn unless the core is poisoned, and turns a panic into a poisoned core.
func guard(fn func() *wire.Fault) (fault *wire.Fault) {
	if process.Poisoned() {
		return unavailable()
	}
	defer func() {
		if r := recover(); r != nil {
			process.Poison(r)
			fault = unavailable()
		}
	}()
	return fn()
}

// injected is the test hook's panic.
func injected() *wire.Fault { panic("injected by a test") }

func main() {}
