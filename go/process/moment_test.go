package process

import (
	"strings"
	"testing"
	"time"
)

func TestNowIsNeverTheMomentThatStandsForNone(t *testing.T) {
	if Moment(time.Since(epoch)) <= 0 || Now() <= 0 {
		t.Error("an age would be none")
	}
}

func TestMomentsGoByTheMonotonicClock(t *testing.T) {
	began, wall := Now(), time.Now()
	time.Sleep(2 * time.Millisecond)
	if d := Now().Sub(began); d < 2*time.Millisecond || d > time.Since(wall)+time.Second {
		t.Errorf("%v", d)
	}
	if !strings.Contains(epoch.String(), " m=") {
		t.Error("the epoch has no reading of the monotonic clock")
	}
	if m := began.Add(time.Minute); m.Sub(began) != time.Minute {
		t.Errorf("%v", m.Sub(began))
	}
}
