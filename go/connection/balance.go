package connection

import (
	"math/rand/v2"

	"github.com/jackc/pgx/v5/pgconn"
)

// shuffleHosts puts the hosts in a random order. What follows from sslmode for one host stays in its order.
func shuffleHosts(pc *pgconn.Config) {
	type host struct {
		name string
		port uint16
	}
	all := []*pgconn.FallbackConfig{{Host: pc.Host, Port: pc.Port, TLSConfig: pc.TLSConfig}}
	var order []host
	ways := make(map[host][]*pgconn.FallbackConfig)
	for _, way := range append(all, pc.Fallbacks...) {
		h := host{way.Host, way.Port}
		if ways[h] == nil {
			order = append(order, h)
		}
		ways[h] = append(ways[h], way)
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	all = all[:0]
	for _, h := range order {
		all = append(all, ways[h]...)
	}
	pc.Host, pc.Port, pc.TLSConfig = all[0].Host, all[0].Port, all[0].TLSConfig
	pc.Fallbacks = all[1:]
}
