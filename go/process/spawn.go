package process

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

// Poisoned reports whether a panic has made the core unusable.
func Poisoned() bool { return poisoned.Load() != nil }

// Go starts fn on a goroutine whose panic poisons the core instead of ending the process.
func Go(fn func()) {
	go func() {
		defer Recover()
		fn()
	}()
}

// Recover turns a panic of the goroutine that defers it into a poisoned core.
func Recover() {
	if r := recover(); r != nil {
		Poison(r)
	}
}
