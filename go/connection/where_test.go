package connection

import (
	"context"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestWhereAConnectionLeadsTo(t *testing.T) {
	config := &pgconn.Config{LookupFunc: func(_ context.Context, host string) ([]string, error) {
		return map[string][]string{"one": {"10.0.0.1"}, "two": {"10.0.0.2", "fd00::2"}}[host], nil
	}}
	names := nameHosts(config)
	for _, host := range []string{"one", "two"} {
		if _, err := config.LookupFunc(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		remote net.Addr
		where  string
	}{
		{&net.TCPAddr{IP: net.ParseIP("10.0.0.2"), Port: 5433}, "two\x005433"},
		{&net.TCPAddr{IP: net.ParseIP("fd00::2"), Port: 5432}, "two\x005432"},
		{&net.TCPAddr{IP: net.ParseIP("10.0.0.9"), Port: 5432}, "10.0.0.9\x005432"},
		{&net.UnixAddr{Name: "/var/run/postgresql/.s.PGSQL.5432", Net: "unix"}, "/var/run/postgresql\x005432"},
		{&net.UnixAddr{Name: "@/abstract/.s.PGSQL.5432", Net: "unix"}, "@/abstract\x005432"},
	} {
		if got := names.where(c.remote); got != c.where {
			t.Errorf("%v: %q, not %q", c.remote, got, c.where)
		}
	}
}
