package tests

import (
	"hypern/go/abi"
	"hypern/go/pgtest"
)

// once is a hook that calls fn at the first point it is asked at.
func once(fn func()) func(pgtest.Point) pgtest.Action {
	called := false
	return func(pgtest.Point) pgtest.Action {
		if !called {
			called = true
			fn()
		}
		return pgtest.Serve
	}
}

// at is a hook that takes an action at the n-th time (from 0) that a point comes up.
func at(point pgtest.Point, n int, action pgtest.Action) func(pgtest.Point) pgtest.Action {
	return func(p pgtest.Point) pgtest.Action {
		if p == point {
			if n--; n == -1 {
				return action
			}
		}
		return pgtest.Serve
	}
}

// Points that tests act at.
var (
	beforeWait   = pgtest.Point{Want: abi.WantWait}
	beforeIO     = pgtest.Point{Want: abi.WantIO}
	afterSending = pgtest.Point{Want: abi.WantIO, Sent: true}
	beforeEncode = pgtest.Point{Want: abi.WantEncode}
	afterRows    = pgtest.Point{Want: abi.WantRows, Sent: true}
)
