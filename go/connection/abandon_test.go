package connection

import (
	"testing"
	"time"
)

func TestTheGraceFollowsTheRoundTripWithinBounds(t *testing.T) {
	for trip, want := range map[time.Duration]int32{
		0:                      200,
		30 * time.Millisecond:  200,
		50 * time.Millisecond:  320,
		100 * time.Millisecond: 640,
		125 * time.Millisecond: 800,
		time.Minute:            800,
	} {
		if got := grace(trip); got != want {
			t.Errorf("a round trip of %v has %d ms, and not %d", trip, got, want)
		}
	}
}
