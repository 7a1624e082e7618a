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
