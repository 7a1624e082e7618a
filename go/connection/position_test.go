package connection

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPositionIsReadWithAndWithoutTimelineAndSystem(t *testing.T) {
	for text, want := range map[string]Position{
		"0/3000148":         {LSN: 0x3000148},
		"A/1:2:7349":        {LSN: 0xA<<32 + 1, Timeline: 2, System: 7349},
		"FFFFFFFF/FFFFFFFF": Unreachable,
	} {
		got, ok := ParsePosition(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "0", "0/", "/0", "0/1:2", "0/1:x:2", "0/1:1:y", "0/100000000", "0/1:1:2:3"} {
		_, ok := ParsePosition(text)
		require.False(t, ok, text)
	}
}

func TestAPositionIsReachedOnItsOwnTimelineAndSystemOnly(t *testing.T) {
	at := Position{LSN: 100, Timeline: 2, System: 7}
	for _, c := range []struct {
		wanted Position
		want   bool
	}{
		{Position{LSN: 100, Timeline: 2, System: 7}, true},
		{Position{LSN: 99}, true},
		{Position{LSN: 101}, false},
		{Position{LSN: 1, Timeline: 1, System: 7}, false},
		{Position{LSN: 1, Timeline: 2, System: 8}, false},
	} {
		require.Equal(t, c.want, at.reaches(c.wanted), c.wanted)
	}
}

func TestAWrittenPositionIsTheEndOfTheLastRecord(t *testing.T) {
	const system = "7349812345678901234"
	for next, end := range map[string]string{
		"0/2001F58":  "0/2001F58",
		"0/2002018":  "0/2002000", // behind the head of an empty page
		"0/2002028":  "0/2002028",
		"0/3000028":  "0/3000000", // of an empty segment
		"0/3000018":  "0/3000000",
		"2/FF000028": "2/FF000000",
	} {
		c := &Conn{}
		if p, ok := c.Written([]string{next, "00000001"}); !ok || p.LSN != lsn(t, next) {
			t.Errorf("%s, of a log whose pages are not known: %X", next, p.LSN)
		}
		p, ok := c.Written([]string{next, "00000001", system, "8192", "16777216"})
		if !ok || p.LSN != lsn(t, end) {
			t.Errorf("%s: %X, not %s", next, p.LSN, end)
		}
		if p, _ = c.Written([]string{next, "00000001"}); p.LSN != lsn(t, end) {
			t.Errorf("%s, once the log's pages are known: %X, not %s", next, p.LSN, end)
		}
	}
}

func lsn(t *testing.T, text string) uint64 {
	t.Helper()
	p, ok := ParsePosition(text)
	if !ok {
		t.Fatalf("%q is no position", text)
	}
	return p.LSN
}
