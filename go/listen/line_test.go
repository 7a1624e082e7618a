package listen

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"hypern/go/pool"
	"hypern/go/wire"
)

func kinds(events []Event) []string {
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func TestALossIsReportedAheadOfWhatTheNextConnectionBrings(t *testing.T) {
	h := NewHub()
	l := &line{hub: h, alias: "a", worked: true, back: true}
	l.ctx, l.stop = context.WithCancel(context.Background())
	defer l.stop()
	// A notification may come along with the answer to LISTEN.
	l.notified(nil, &pgconn.Notification{Channel: "c", Payload: "1"})
	l.notified(nil, &pgconn.Notification{Channel: "c", Payload: "2"})
	require.Equal(t, []string{KindBack, KindNotified, KindNotified}, kinds(h.Events()))
	l.reportBack()
	require.Empty(t, h.Events())
}

func TestAPoolThatWasClosedGetsNoLine(t *testing.T) {
	p, fault := pool.New(&pool.Config{Alias: "a", MaxSize: 1}, &pool.Attendant{})
	require.Nil(t, fault)
	done := make(chan struct{})
	p.Close(func() { close(done) })
	<-done
	h := NewHub()
	require.Nil(t, h.Want(p, 1, nil))
	refused := h.Want(p, 2, []string{"c"})
	require.NotNil(t, refused)
	require.Equal(t, wire.KindPoolClosed, refused.Kind)
	require.Empty(t, h.lines)
}

func TestTheCommandsAreForWhatDiffers(t *testing.T) {
	has, wanted := []string{"a", "b"}, []string{"b", `c"d`}
	require.Equal(t, []string{`LISTEN "c""d"`}, without("LISTEN ", wanted, has))
	require.Equal(t, []string{`UNLISTEN "a"`}, without("UNLISTEN ", has, wanted))
	require.Empty(t, without("LISTEN ", has, has))
}
