package pool

import (
	"testing"

	"go.uber.org/goleak"

	"hypern/go/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAConnectionExpiresInTime(t *testing.T) {
	now := process.Now()
	for expires, expired := range map[process.Moment]bool{0: false, now.Add(1): false, now: true, now.Add(-1): true} {
		if c := (&slot{expires: expires}); c.expired(now) != expired {
			t.Errorf("%v from now: %v", expires.Sub(now), !expired)
		}
	}
}
