package pool

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

var poisoned atomic.Pointer[string]

// Poison marks the core as unusable after a panic. The first reason stays.
func Poison(reason any) {
	text := fmt.Sprintf("%v\n%s", reason, debug.Stack())
	poisoned.CompareAndSwap(nil, &text)
}

// Poisoned tells whether a panic has made the core unusable.
func Poisoned() bool { return poisoned.Load() != nil }

// Go starts fn on a goroutine whose panic poisons the core instead of ending the process.
func Go(fn func()) {
	go func() {
		defer recoverPoison()
		fn()
	}()
}

// recoverPoison, deferred on a goroutine, turns its panic into a poisoned core.
func recoverPoison() {
	if r := recover(); r != nil {
		Poison(r)
	}
}
