package process

import "time"

// Moment is a time on the monotonic clock, from which ages and limits are computed: setting the wall clock
// does not affect them. A time.Time reads the wall clock as well. The zero Moment stands for none.
type Moment time.Duration

// epoch lies in the past, so that Now is never zero.
var epoch = time.Now().Add(-time.Second)

// Now is the present moment.
func Now() Moment { return Moment(time.Since(epoch)) }

// Add is the moment d after m.
func (m Moment) Add(d time.Duration) Moment { return m + Moment(d) }

// Sub is the time from earlier to m.
func (m Moment) Sub(earlier Moment) time.Duration { return time.Duration(m - earlier) }
