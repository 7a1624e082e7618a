package connection

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// placeHosts applies load_balance_hosts and hostaddr to the configuration of one dial.
func (s *Settings) placeHosts(pc *pgconn.Config) {
	balance := s.ConnInfo["load_balance_hosts"] == "random"
	given := s.givenAddresses()
	if len(given) > 0 || balance {
		lookUp := pc.LookupFunc
		pc.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
			addresses, ok := given[host]
			if ok {
				addresses = slices.Clone(addresses)
			} else {
				var err error
				if addresses, err = lookUp(ctx, host); err != nil {
					return nil, err
				}
			}
			if balance {
				rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
			}
			return addresses, nil
		}
	}
	if balance {
		shuffleHosts(pc)
	}
}

// givenAddresses are those of hostaddr, by host.
func (s *Settings) givenAddresses() map[string][]string {
	if s.ConnInfo["hostaddr"] == "" {
		return nil
	}
	given := map[string][]string{}
	hosts := strings.Split(s.ConnInfo["host"], ",")
	for i, address := range strings.Split(s.ConnInfo["hostaddr"], ",") {
		if address != "" && i < len(hosts) && !slices.Contains(given[hosts[i]], address) {
			given[hosts[i]] = append(given[hosts[i]], address)
		}
	}
	return given
}
