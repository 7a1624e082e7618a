package connection

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"hypern/go/wire"
)

// Position is a place in a server's write-ahead log. A position of another timeline or system cannot be compared.
type Position struct {
	LSN      uint64 // 0: there is none
	Timeline uint32 // 0: not known
	System   uint64 // 0: not known
}

// Unreachable is a position that no server ever reaches: something was committed, and it is not known where.
var Unreachable = Position{LSN: math.MaxUint64}

// ParsePosition reads "0/3000148", or "0/3000148:1:7349812345678901234" with timeline and system. The text comes from
// a caller that has checked its form.
func ParsePosition(text string) (p Position, ok bool) {
	fields := strings.Split(text, ":")
	if p.LSN, ok = parseLSN(fields[0]); !ok || len(fields) != 1 && len(fields) != 3 {
		return Position{}, false
	}
	if len(fields) == 3 {
		timeline, err := strconv.ParseUint(fields[1], 10, 32)
		if err != nil {
			return Position{}, false
		}
		if p.System, err = strconv.ParseUint(fields[2], 10, 64); err != nil {
			return Position{}, false
		}
		p.Timeline = uint32(timeline)
	}
	return p, true
}

func parseLSN(text string) (lsn uint64, ok bool) {
	high, low, found := strings.Cut(text, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	if err != nil || !found {
		return 0, false
	}
	l, err := strconv.ParseUint(low, 16, 32)
	return h<<32 | l, err == nil
}

// ofOther reports whether the positions are known to belong to different timelines or systems.
func (p Position) ofOther(q Position) bool {
	return p.System != 0 && q.System != 0 && p.System != q.System ||
		p.Timeline != 0 && q.Timeline != 0 && p.Timeline != q.Timeline
}

// reaches reports whether what was committed at q is in what p stands for.
func (p Position) reaches(q Position) bool { return p.LSN >= q.LSN && !p.ofOther(q) }

// The system's number does not change during a connection, and takes a look at a file of the server's.
const (
	writtenSQL = "SELECT l::pg_catalog.text, pg_catalog.left(pg_catalog.pg_walfile_name(l), 8) " +
		"FROM pg_catalog.pg_current_wal_insert_lsn() AS l"
	writtenFirstSQL = "SELECT l::pg_catalog.text, pg_catalog.left(pg_catalog.pg_walfile_name(l), 8), " +
		"(SELECT system_identifier FROM pg_catalog.pg_control_system())::pg_catalog.text, " +
		"pg_catalog.current_setting('wal_block_size'), " +
		"pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))::pg_catalog.text " +
		"FROM pg_catalog.pg_current_wal_insert_lsn() AS l"
)

// The heads of the log's pages (PostgreSQL's SizeOfXLogShortPHD and SizeOfXLogLongPHD).
const (
	pageHead    = 24
	segmentHead = 40 // of the first page of a segment
)

// logShape is how a server's log is cut, in bytes; 0: not known.
type logShape struct{ page, segment uint64 }

// endOfRecord turns the place where the next record goes into the one where the last has ended. They differ where
// the last one fills its page: what has been replayed then ends ahead of the next page's head, and stays there until
// something else is written.
func (l logShape) endOfRecord(next uint64) uint64 {
	switch {
	case l.page == 0 || l.segment == 0:
		return next
	case next%l.segment == segmentHead:
		return next - segmentHead
	case next%l.page == pageHead:
		return next - pageHead
	}
	return next
}

// AppendAskWritten appends a query for the end of the server's log, in a unit of its own. By a prepared name where
// the connection keeps one and named is true.
func (c *Conn) AppendAskWritten(dst []byte, named bool) []byte {
	sql := writtenSQL
	if c.system == 0 {
		sql = writtenFirstSQL
	}
	if named && c.system != 0 {
		if to, ok := c.AppendKept(dst, sql, nil); ok {
			return wire.AppendSync(to)
		}
	}
	dst = wire.AppendParse(dst, "", sql, nil)
	return wire.AppendSync(wire.AppendExecute(wire.AppendBindText(dst, "")))
}

// ForgetAskWritten has the query prepared anew: its name may be gone.
func (c *Conn) ForgetAskWritten() { delete(c.statements.kept, writtenSQL) }

// Written reads the row that AppendAskWritten's query has returned.
func (c *Conn) Written(row []string) (p Position, ok bool) {
	if len(row) < 2 {
		return Position{}, false
	}
	if p.LSN, ok = parseLSN(row[0]); !ok {
		return Position{}, false
	}
	timeline, err := strconv.ParseUint(row[1], 16, 32)
	if err != nil {
		return Position{}, false
	}
	if len(row) == 5 {
		c.system, _ = strconv.ParseUint(row[2], 10, 64) // 0: not known
		c.log.page, _ = strconv.ParseUint(row[3], 10, 64)
		c.log.segment, _ = strconv.ParseUint(row[4], 10, 64)
	}
	return Position{LSN: c.log.endOfRecord(p.LSN), Timeline: uint32(timeline), System: c.system}, true
}

// replayedSQL tells how far a standby has come. A role that may not read pg_stat_wal_receiver learns of another
// timeline at the standby's next restart point.
const replayedSQL = "SELECT pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text, " +
	"(SELECT system_identifier FROM pg_catalog.pg_control_system())::pg_catalog.text, " +
	"greatest((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver), " +
	"(SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()), " +
	"(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()))::pg_catalog.text " +
	"WHERE pg_catalog.pg_is_in_recovery()"

// replayStepMS is the time between two looks at a standby's position, which its server waits by itself.
const replayStepMS = 2

// AskReplayed is the query for how far a standby has come. With waitMS it first waits so long for the position.
func AskReplayed(wanted Position, waitMS int64) string {
	if waitMS <= 0 {
		return replayedSQL
	}
	lsn := fmt.Sprintf("%X/%X", wanted.LSN>>32, wanted.LSN&math.MaxUint32)
	return fmt.Sprintf("SELECT 1 FROM pg_catalog.generate_series(1, %d) WHERE CASE "+
		"WHEN pg_catalog.pg_last_wal_replay_lsn() OPERATOR(pg_catalog.>=) '%s'::pg_catalog.pg_lsn THEN true "+
		"ELSE pg_catalog.pg_sleep(0.00%d) IS NULL END LIMIT 1;", (waitMS+replayStepMS-1)/replayStepMS, lsn, replayStepMS) +
		replayedSQL
}

// Replay is what a standby's position means for a wanted one.
type Replay int

// The outcomes.
const (
	Reached Replay = iota
	Behind         // it may reach it
	Never          // another timeline or system, or no standby
)

// Replayed takes in the row of AskReplayed's query; nil: the server is no standby.
func (c *Conn) Replayed(row []string, wanted Position) Replay {
	if len(row) != 3 {
		return Never
	}
	at, ok := parseLSN(row[0])
	if !ok {
		return Never
	}
	system, _ := strconv.ParseUint(row[1], 10, 64)   // 0: not known
	timeline, _ := strconv.ParseUint(row[2], 10, 32) // likewise
	c.replayed = Position{LSN: at, Timeline: uint32(timeline), System: system}
	switch {
	case c.replayed.ofOther(wanted) || wanted == Unreachable:
		return Never
	case c.replayed.reaches(wanted):
		return Reached
	}
	return Behind
}

// HasReplayed reports whether the standby is known to have come so far.
func (c *Conn) HasReplayed(wanted Position) bool { return c.replayed.reaches(wanted) }

// Promoted reports whether the server has become a primary since the connection was made.
func (c *Conn) Promoted() bool {
	return c.params["in_hot_standby"] == "off" && c.pg.ParameterStatus("in_hot_standby") == "on"
}

// TakeAnswer takes the frames of one answer off what the server has sent, up to its ReadyForQuery, without blocking.
// Its rows, and whether it had no error; done is false while some of it is to come. A connection that has ended is
// broken afterwards.
func (c *Conn) TakeAnswer() (rows [][]string, sound, done bool) {
	for !c.broken {
		if end, whole := c.answerEnd(); whole {
			rows, sound = c.readAnswer(c.inbuf[:end])
			c.inbuf = c.inbuf[:copy(c.inbuf, c.inbuf[end:])]
			return rows, sound, true
		}
		if len(c.inbuf) > unaskedMax || c.killed.Load() != nil {
			break
		}
		c.inbuf = append(c.inbuf, make([]byte, inbufSize)...)
		at := len(c.inbuf) - inbufSize
		n, err := c.Read(c.inbuf[at:])
		c.inbuf = c.inbuf[:at+max(n, 0)]
		switch {
		case n > 0:
		case IsAgain(err):
			return nil, false, false
		default:
			c.broken = true
		}
	}
	c.broken = true
	return nil, false, true
}

// answerEnd is where the first ReadyForQuery in inbuf ends.
func (c *Conn) answerEnd() (end int, whole bool) {
	for rest := c.inbuf; ; {
		f, after, ok, err := wire.Next(rest)
		if err != nil {
			c.broken = true
		}
		if err != nil || !ok {
			return 0, false
		}
		if f.Kind == 'Z' {
			return len(c.inbuf) - len(after), true
		}
		rest = after
	}
}

func (c *Conn) readAnswer(frames []byte) (rows [][]string, sound bool) {
	sound = true
	for len(frames) > 0 {
		f, after, _, _ := wire.Next(frames) // answerEnd has been here
		frames = after
		switch f.Kind {
		case 'D':
			row, err := wire.TextRow(f.Body)
			sound = sound && err == nil
			rows = append(rows, row)
		case 'E':
			sound = false
			c.broken = c.broken || wire.ParseError(f.Body).Fatal()
		case 'S':
			c.TakeParameter(f.Body)
		}
	}
	return rows, sound
}
