package connection

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// DialListener makes a connection that stays pgconn's, for LISTEN. Besides it returns whether a pooler in between
// may give it another server. notified is called by whoever reads.
func (d *Dialer) DialListener(ctx context.Context, password, name string, notified pgconn.NotificationHandler) (*pgconn.PgConn, bool, error) {
	pc := d.configFor(password)
	pc.OnNotification = notified
	pc.RuntimeParams["application_name"] = name
	pg, err := d.connect(ctx, pc)
	if err != nil {
		return nil, false, err
	}
	shared, err := d.sharesServers(ctx, pg, pc)
	if err != nil {
		_ = pg.Conn().Close()
		return nil, false, err
	}
	nc := pg.Conn()
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if s, ok := nc.(*socket); ok {
		s.listens = true
	}
	return pg, shared, nil
}

// sharesServers reports whether there is a pooler that may give each transaction another server.
func (d *Dialer) sharesServers(ctx context.Context, pg *pgconn.PgConn, config *pgconn.Config) (bool, error) {
	if limit := millis(d.settings.ConnectMS); limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	pid, err := backendPID(ctx, pg)
	if errors.Is(err, errUnknownPID) {
		return d.settings.Pooler == sharedPooler, nil
	}
	if err != nil || !d.pooled(pid, pg) {
		return false, err
	}
	return !d.keepsSession(ctx, pg, config), nil
}
