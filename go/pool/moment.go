package pool

import "time"

// Moment is a time on the monotonic clock: what ages and limits are reckoned by, whatever becomes of the
// wall clock. A time.Time would have that one read, too. The zero Moment stands for none.
type Moment time.Duration

// epoch is a little past, so that Now is never zero.
var epoch = time.Now().Add(-time.Second)

// Now is the present moment.
func Now() Moment { return Moment(time.Since(epoch)) }

// Add is the moment d after m.
func (m Moment) Add(d time.Duration) Moment { return m + Moment(d) }

// Sub is the time from earlier to m.
func (m Moment) Sub(earlier Moment) time.Duration { return time.Duration(m - earlier) }
