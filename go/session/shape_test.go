package session

import (
	"testing"

	"hypern/go/connection"
)

func TestAGuardGrowsWithTheAttributes(t *testing.T) {
	size := func(n int) int {
		var g executedGuard
		g.composite(17000, make([]connection.Field, n))
		return len(g.append(nil))
	}
	if small, large := size(100), size(1000); large > 12*small {
		t.Errorf("the guard of 1000 attributes has %d bytes, that of 100 has %d", large, small)
	}
}
