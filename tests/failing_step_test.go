package tests

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

// stepMax is far more than any operation of the script takes, and less than the tests' patience.
const stepMax = 5 * time.Second

// failing is the message in place of m that the server answers with an error, or nil where it cannot.
// late: of several commands in one Query, the last one fails.
func failing(m pgtest.Message, late bool) []byte {
	switch m.Kind {
	case 'P':
		name, _, _ := wire.CString(m.Bytes[5:])
		return wire.AppendParse(nil, name, "no such statement", nil)
	case 'B':
		return wire.AppendBindNothing(nil, "no such name")
	case 'D':
		return wire.AppendDescribe(nil, 'S', "no such name")
	case 'E':
		return wire.AppendExecuteChunk(nil, "no such portal", 0)
	case 'Q':
		text, _, _ := wire.CString(m.Bytes[5:])
		if late {
			return wire.AppendQuery(nil, text+";SELECT 1/0")
		}
		return wire.AppendQuery(nil, "SELECT 1/0;"+text)
	}
	return nil
}

// script is what requests do, each sequence of messages that the core sends among it. It returns what
// it was told of each number that it has inserted.
type script struct {
	t        *testing.T
	d        *pgtest.Driver
	requests int
	told     map[int]bool // true: committed
	next     int
}

const keepSQL = "INSERT INTO kept VALUES ($1)"

func (c *script) request(work func(s *pgtest.Session)) {
	c.requests++
	s := c.d.Open("request "+itoa(c.requests), mainAlias)
	work(s)
	c.timed(func() pgtest.Result { return s.Run(abi.OpFinalize, "") })
}

func (c *script) timed(run func() pgtest.Result) pgtest.Result {
	began := time.Now()
	r := run()
	if took := time.Since(began); took > stepMax {
		c.t.Errorf("it took %v", took)
	}
	return r
}

func (c *script) number() int { c.next++; return c.next }

// run makes the requests; what fails is told by its Result.
func (c *script) run() {
	litter := func(s *pgtest.Session) {
		c.timed(func() pgtest.Result { return s.Try("SELECT pg_advisory_lock(42)") })
		c.timed(func() pgtest.Result { return s.Try("SET application_name = 'left behind'") })
	}
	c.request(litter)
	begun := func(end func(s *pgtest.Session, n int)) {
		n := c.number()
		c.request(func(s *pgtest.Session) {
			litter(s)
			s.Begin()
			if r := c.timed(func() pgtest.Result { return s.Try(keepSQL, n) }); r.Fault != nil {
				c.told[n] = false
			}
			end(s, n)
		})
	}
	for range 2 { // parsed, then known
		begun(func(s *pgtest.Session, n int) {
			c.told[n] = c.timed(func() pgtest.Result { return s.Run(abi.OpCommit, "") }).Fault == nil
		})
		begun(func(s *pgtest.Session, n int) {
			c.told[n] = false
			c.timed(func() pgtest.Result { return s.Run(abi.OpRollback, "") })
		})
	}
	var n int
	c.request(func(s *pgtest.Session) { // committed by finalize, with savepoints
		n = c.number()
		s.Begin()
		s.Run(abi.OpSavepoint, "a")
		c.timed(func() pgtest.Result { return s.Try(keepSQL, n) })
		c.timed(func() pgtest.Result { return s.Run(abi.OpRollbackTo, "a") })
		s.Run(abi.OpSavepoint, "b")
		c.timed(func() pgtest.Result { return s.Try("SELECT 1") })
		s.Run(abi.OpRelease, "b")
		c.timed(func() pgtest.Result { return s.Try("SELECT 1") })
	})
	c.request(func(s *pgtest.Session) { // rolled back by finalize
		s.Begin()
		s.Core.Set(abi.SetError, 1)
		n := c.number()
		c.told[n] = false
		c.timed(func() pgtest.Result { return s.Try(keepSQL, n) })
	})
	for range 2 {
		c.request(func(s *pgtest.Session) {
			a, b := c.number(), c.number()
			r := c.timed(func() pgtest.Result { return s.Many(keepSQL, pgtest.Rows([]any{a}, []any{b})) })
			c.told[a], c.told[b] = r.Fault == nil, r.Fault == nil
			s.Begin()
			d := c.number()
			c.told[d] = false
			c.timed(func() pgtest.Result { return s.Many(keepSQL, pgtest.Rows([]any{d}, []any{nil})) })
			c.timed(func() pgtest.Result { return s.Run(abi.OpRollback, "") })
		})
		c.request(func(s *pgtest.Session) {
			const rows = "SELECT n FROM generate_series(1, 5) n"
			r := c.timed(func() pgtest.Result { return s.Stream(2, rows) })
			for r.Fault == nil && r.Stream != 0 {
				r = c.timed(func() pgtest.Result { return s.Fetch(r.Stream, 2) })
			}
			c.timed(func() pgtest.Result { return s.Stream(2, rows) })
			c.timed(func() pgtest.Result { return s.Try("SELECT 1") }) // ends it
			s.Begin()
			c.timed(func() pgtest.Result { return s.Stream(2, rows) })
			c.timed(func() pgtest.Result { return s.Try("SELECT 1") })
			c.timed(func() pgtest.Result { return s.Run(abi.OpRollback, "") })
		})
	}
	c.request(func(s *pgtest.Session) {
		s.Types, s.NoGuess = []uint32{23}, true
		c.timed(func() pgtest.Result { return s.Try("SELECT 1") })
	})
	for range 3 { // handed over with its reset ahead of the statement
		c.requests++
		s := c.d.Open("giver "+itoa(c.requests), mainAlias)
		litter(s)
		taker := c.d.Open("taker "+itoa(c.requests), mainAlias)
		n := c.number()
		r := c.timed(func() pgtest.Result { return handOver(c.d, s, taker, keepSQL, n) })
		c.told[n] = r.Fault == nil
		litter(taker)
		taker.Run(abi.OpFinalize, "")
	}
}

// TestWhicheverStepFailsNothingHangsAndNothingIsLost has the server refuse each of the messages that the
// script of requests sends, one at a time.
func TestWhicheverStepFailsNothingHangsAndNothingIsLost(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	db.Query("CREATE TABLE kept (n int PRIMARY KEY)")
	stride, kinds := 5, "BE" // a sample, which need not have the rarer kinds
	if os.Getenv("HYPERN_RELIABILITY") == "full" {
		stride, kinds = 1, "PBDEQ"
	}
	tried := map[byte]int{}
	for _, late := range []bool{false, true} {
		for step, more := 0, true; more; step += stride {
			more = failAt(t, db, step, late, tried)
		}
	}
	for _, kind := range []byte(kinds) {
		require.Positive(t, tried[kind], string(kind))
	}
	t.Logf("messages refused, by kind: P %d, B %d, D %d, E %d, Q %d", tried['P'], tried['B'], tried['D'], tried['E'], tried['Q'])
}

// failAt runs the script with one message refused; false where it has no so many.
func failAt(t *testing.T, db *pgtest.DB, step int, late bool, tried map[byte]int) bool {
	db.Query("TRUNCATE kept")
	proxy := pgtest.NewProxy(t)
	defer proxy.Close()
	d := pgtest.NewDriver(t)
	d.Configure(mainAlias, proxy.ConnInfo(db), func(c *pool.Config) { c.MaxSize, c.AcquireMS = 1, 8000 })
	requireUsable(t, d.Open("first", mainAlias))
	d.Open("first", mainAlias).Finalize()
	c := &script{t: t, d: d, told: map[int]bool{}}
	seen := 0
	var refused pgtest.Message
	rule := proxy.Add(&pgtest.Rule{Direction: pgtest.ToServer, When: func(m pgtest.Message) bool {
		if replacement := failing(m, late); m.Conn > 0 || replacement == nil || late && (m.Kind != 'Q' || !strings.Contains(string(m.Bytes), ";")) {
			return false
		}
		seen++
		refused = m
		return seen == step+1
	}, Replace: func(m pgtest.Message) []byte { return failing(m, late) }})
	c.run()
	select {
	case <-rule.Fired():
	default:
		return false
	}
	tried[refused.Kind]++
	what := string(refused.Kind) + " " + strings.ToValidUTF8(string(refused.Bytes[5:]), ".")
	for n, committed := range c.told {
		count := db.Value("SELECT count(*) FROM kept WHERE n = " + itoa(n))
		require.Equal(t, map[bool]string{true: "1", false: "0"}[committed], count, "number %d, refused: %s", n, what)
	}
	s := d.Open("last", mainAlias)
	require.Equal(t, "", s.Value("SHOW application_name"), "refused: %s", what)
	require.Equal(t, "0", s.Value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"), "refused: %s", what)
	s.Finalize()
	require.Equal(t, 1, proxy.Connections(), "a connection was thrown away, refused: %s", what)
	return !t.Failed()
}
