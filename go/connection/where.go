package connection

import (
	"context"
	"net"
	"path"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// hostNames are the names that the settings have for the addresses of one dial, by address. pgconn looks them up
// one after the other.
type hostNames map[string]string

// nameHosts notes what the names in config are resolved to.
func nameHosts(config *pgconn.Config) hostNames {
	names, lookUp := hostNames{}, config.LookupFunc
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		addresses, err := lookUp(ctx, host)
		for _, address := range addresses {
			names[address] = host
		}
		return addresses, err
	}
	return names
}

// where is host, NUL and port of an address.
func (names hostNames) where(remote net.Addr) string {
	if remote.Network() == "unix" {
		directory, file := path.Split(remote.String())
		return path.Clean(directory) + "\x00" + strings.TrimPrefix(path.Ext(file), ".")
	}
	host, port, err := net.SplitHostPort(remote.String())
	if err != nil {
		return ""
	}
	if name := names[host]; name != "" {
		host = name
	}
	return host + "\x00" + port
}
