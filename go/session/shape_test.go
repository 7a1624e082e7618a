package session

import "testing"

func TestGuardGrowsWithAttributes(t *testing.T) {
	small, large := len(fieldsGuard(100)), len(fieldsGuard(1000))
	if large > 12*small {
		t.Errorf("the guard of 1000 attributes has %d bytes, that of 100 has %d", large, small)
	}
}
