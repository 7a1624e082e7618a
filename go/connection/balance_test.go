package connection

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestHostsAreTriedInRandomOrderEachWithItsWaysTogether(t *testing.T) {
	pc, err := pgconn.ParseConfig("host=a,b,c port=1,2,3 user=u dbname=d sslmode=prefer")
	require.NoError(t, err)
	first := map[string]int{}
	for range 300 {
		shuffled := pc.Copy()
		shuffleHosts(shuffled)
		ways := append([]*pgconn.FallbackConfig{{Host: shuffled.Host, Port: shuffled.Port, TLSConfig: shuffled.TLSConfig}},
			shuffled.Fallbacks...)
		require.Len(t, ways, 6)
		for i := 0; i < len(ways); i += 2 {
			require.Equal(t, ways[i].Host, ways[i+1].Host)
			require.NotNil(t, ways[i].TLSConfig)
			require.Nil(t, ways[i+1].TLSConfig)
			require.Equal(t, uint16(ways[i].Host[0]-'a'+1), ways[i].Port)
		}
		first[shuffled.Host]++
	}
	require.Len(t, first, 3)
}
