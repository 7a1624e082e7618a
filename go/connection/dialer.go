package connection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"hypern/go/wire"
)

// Dialer makes the connections of one pool, and keeps what they learn about their server together.
type Dialer struct {
	settings *Settings
	pgconn   *pgconn.Config
	plans    plans
	servers  servers
	pooler   pooler
	refusals refusals // outlive connections: they depend on the role alone

	cancels     context.Context // bounds the requests to cancel
	stopCancels context.CancelFunc
}

// NewDialer checks the settings.
func NewDialer(settings *Settings) (*Dialer, *wire.Fault) {
	pc, err := settings.pgconn()
	if err != nil {
		// pgconn's text quotes the connection string with its password masked by guesswork.
		why := err.Error()
		if i := strings.LastIndex(why, "`"); i >= 0 {
			why = strings.TrimPrefix(why[i+1:], ": ")
		}
		return nil, &wire.Fault{Kind: wire.KindConfiguration, Message: "the connection settings are refused: " + why}
	}
	d := &Dialer{settings: settings, pgconn: pc}
	d.cancels, d.stopCancels = context.WithCancel(context.Background())
	return d, nil
}

// Fault turns an error of Dial into a fault. pgconn's texts name user, host and database, never the password.
func (d *Dialer) Fault(err error) *wire.Fault {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return &wire.Fault{
			SQLState: pe.Code, Severity: pe.SeverityUnlocalized, Message: cmp.Or(pe.Message, wire.NoMessage), Detail: pe.Detail,
			Hint: pe.Hint, SafeToRetry: true,
		}
	}
	var own *wire.Fault
	if errors.As(err, &own) {
		return own
	}
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		text = fmt.Sprintf("no connection within %v (connect_timeout_secs): %s", millis(d.settings.ConnectMS), text)
	}
	return &wire.Fault{Kind: wire.KindOperational, Message: text, SafeToRetry: true}
}

// Refused lists the steps of a reset that the server refuses, each with its reason.
func (d *Dialer) Refused() []string { return d.refusals.list() }

// Forget forgets the texts of all plans: the pool is closed.
func (d *Dialer) Forget() { d.plans.clear() }

// EndCancels ends the requests to cancel that are under way: nothing is left for them to end.
func (d *Dialer) EndCancels() { d.stopCancels() }
