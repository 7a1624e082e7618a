package pool

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hypern/go/process"
	"hypern/go/wire"
)

func refuse(o *outage, state string, times int) process.Moment {
	now := process.Now()
	for range times {
		o.refused(&wire.Fault{SQLState: state}, now, func() {})
	}
	return now
}

func TestAnOutageIsBorneAsLongAsARestartTakes(t *testing.T) {
	o := outage{known: true}
	now := refuse(&o, "", 1)
	defer o.end(true)
	if !o.bears(now, 0) || !o.bears(now.Add(restartTime-1), 0) || o.bears(now.Add(restartTime), 0) {
		t.Error("waiters stay for restartTime")
	}
	if o.bears(now.Add(restartTime), 1) {
		t.Error("connections in use are no help against a server that is down")
	}
}

func TestAFullServerIsBorneWhileConnectionsAreInUse(t *testing.T) {
	o := outage{known: true}
	now := refuse(&o, stateTooManyConnections, 1)
	defer o.end(true)
	if !o.bears(now.Add(time.Hour), 1) || o.bears(now.Add(time.Hour), 0) {
		t.Error("one of them will come back")
	}
}

func TestSettingsThatNeverWorkedAreNoOutage(t *testing.T) {
	o := outage{}
	now := refuse(&o, "", 1)
	defer o.end(false)
	if o.bears(now, 1) {
		t.Error("nobody waits")
	}
}

func TestOneDialAtATimeProbesAndNoneBeforeTheBackoffIsOver(t *testing.T) {
	o := outage{known: true}
	if o.holdsBack(process.Now(), 3) {
		t.Error("there is no outage")
	}
	now := refuse(&o, "", 1)
	defer o.end(true)
	if !o.holdsBack(now, 0) || !o.holdsBack(now.Add(time.Minute), 1) || o.holdsBack(now.Add(time.Minute), 0) {
		t.Error("a dial at a time, after the backoff")
	}
}

func TestTheBackoffGrowsToItsLimitAndStartsAnewWhenNobodyAsked(t *testing.T) {
	o := outage{known: true}
	now := refuse(&o, "", 20)
	defer o.end(true)
	if wait := o.retryAt.Sub(now); wait < backoffMax/2 || wait > 3*backoffMax/2 {
		t.Errorf("%v", wait)
	}
	later := o.retryAt.Add(restartTime + 1)
	o.refused(&wire.Fault{}, later, func() {})
	if wait := o.retryAt.Sub(later); wait > 3*backoffFirst/2 || !o.bears(later, 0) {
		t.Errorf("%v", wait)
	}
}

func TestARefusalIsWhatAnotherDialMayCure(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("dial: %w", syscall.ECONNREFUSED), syscall.ENOENT, io.ErrUnexpectedEOF,
		&pgconn.PgError{Code: stateCannotConnectNow}, &pgconn.PgError{Code: stateTooManyConnections},
	} {
		if !refusal(err) {
			t.Error(err)
		}
	}
	for _, err := range []error{errors.New("x"), &pgconn.PgError{Code: "28P01"}, syscall.ETIMEDOUT} {
		if refusal(err) {
			t.Error(err)
		}
	}
}
