package tests

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hypern/go/abi"
	"hypern/go/connection"
	"hypern/go/pgtest"
	"hypern/go/pool"
	"hypern/go/wire"
)

func TestBadStatementsLeaveTheConnectionUsable(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	for _, c := range []struct{ name, sql, state, kind string }{
		{"no statement", "", "", wire.KindProgramming},
		{"only a comment", " -- nothing\n", "", wire.KindProgramming},
		{"several statements", "SELECT 1; SELECT 2", syntaxError, ""},
		{"a syntax error", "SELEC 1", syntaxError, ""},
		{"an unknown table", "SELECT * FROM nowhere", undefinedTable, ""},
		{"an error while running", "SELECT 1/0", divisionByZero, ""},
		{"a NUL in the text", "SELECT 1\x00, 2", "", wire.KindProgramming},
		{"copy from stdin", "COPY pg_temp.c FROM STDIN", "", wire.KindNotSupported},
		{"copy to stdout", "COPY (SELECT * FROM generate_series(1, 100000)) TO STDOUT", "", wire.KindNotSupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Execute("CREATE TEMPORARY TABLE IF NOT EXISTS c (n int)")
			for _, inTransaction := range []bool{false, true} {
				for range 2 {
					if inTransaction {
						s.Begin()
					}
					r := s.Try(c.sql)
					require.NotNil(t, r.Fault)
					require.Equal(t, [2]string{c.state, c.kind}, [2]string{r.Fault.SQLState, r.Fault.Kind}, "%v", r.Fault)
					require.Equal(t, c.sql, r.Fault.SQL)
					if inTransaction {
						s.Rollback()
					}
					requireUsable(t, s)
				}
			}
		})
	}
}

func TestAStatementsErrorCarriesTheServersFields(t *testing.T) {
	t.Parallel()
	db, d := begin(t, oneConnection)
	db.Query("CREATE TABLE t (n int CONSTRAINT positive CHECK (n > 0))")
	f := d.Open("r", mainAlias).Try("INSERT INTO t VALUES ($1)", -1).Fault
	require.NotNil(t, f)
	require.Equal(t, "23514", f.SQLState)
	require.Equal(t, "ERROR", f.Severity)
	require.Equal(t, []string{"public", "t", "positive"}, []string{f.Schema, f.Table, f.Constraint})
	require.NotEmpty(t, f.Detail)
	f = d.Open("r", mainAlias).Try("SELECT  nope").Fault
	require.Equal(t, 9, f.Position)
}

func TestTooFewOrTooManyParametersSendNothing(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	for range 2 {
		requireKind(t, s.Try("SELECT $1::int"), wire.KindProgramming)
		requireKind(t, s.Try("SELECT $1::int", 1, 2), wire.KindProgramming)
		require.Equal(t, "1", s.Value("SELECT $1::int", 1))
	}
}

func TestAParameterOfMegabytesIsWrittenWhileTheServerAnswers(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	big := strings.Repeat("x", 4<<20)
	require.Equal(t, len(big), len(s.Value("SELECT $1::text || ''", big)))
	require.Equal(t, itoa(len(big)+9), s.Value("SELECT length('"+big+"') + $1::int", 9))
}

func TestAWrongParameterTextIsTheServersError(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	for range 2 {
		requireState(t, s.Try("SELECT $1::int", "secret-value"), invalidText)
		require.Equal(t, "1", s.Value("SELECT $1::int", 1))
	}
}

func TestNoParametersIsNotNullAndNullIsNull(t *testing.T) {
	t.Parallel()
	_, d := begin(t, oneConnection)
	s := d.Open("r", mainAlias)
	require.Equal(t, "true", s.Value("SELECT ($1::int IS NULL)::text", nil))
	require.Equal(t, "false", s.Value("SELECT ($1::text IS NULL)::text", ""))
}

func TestTypesAreDescribedOnTheStatementsConnection(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{connection.CacheNamed, connection.CacheDescribe} {
		t.Run(mode, func(t *testing.T) {
			db, d := begin(t, func(c *pool.Config) { c.MaxSize, c.StatementCache = 1, mode })
			db.Query("CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b mood); CREATE DOMAIN posint AS int")
			s := d.Open("r", mainAlias)
			for _, c := range []struct {
				name    string
				typtype byte
				fields  uint16
			}{{"mood", 'e', 0}, {"pair", 'c', 2}, {"posint", 'd', 0}} {
				oid := s.Value("SELECT '" + c.name + "'::regtype::oid::int8")
				var n uint32
				for _, digit := range oid {
					n = n*10 + uint32(digit-'0')
				}
				s.Types, s.NoGuess = []uint32{n, 4_000_000_000}, true
				s.Begin()
				require.Equal(t, "x", s.Value("SELECT $1::text", "x"))
				s.Commit()
				rows := s.TypeRows
				require.Equal(t, n, binary.NativeEndian.Uint32(rows))
				require.Equal(t, c.typtype, rows[4])
				name := rows[14 : 14+binary.NativeEndian.Uint16(rows[12:])]
				require.Equal(t, c.name, string(name))
				rest := rows[14+len(name):]
				schema := binary.NativeEndian.Uint16(rest)
				require.Equal(t, "public", string(rest[2:2+schema]))
				require.Equal(t, c.fields, binary.NativeEndian.Uint16(rest[2+schema:]))
			}
		})
	}
}

func TestAMessageOfTheServersOwnCutInTwoIsNotTakenForTheNextAnswer(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	requireUsable(t, s)
	status := []byte("S\x00\x00\x00\x12TimeZone\x00Moon\x00")
	proxy.Add(&pgtest.Rule{Direction: pgtest.ToClient, When: pgtest.Kind('Z'), Append: status[:9]})
	sendRest := sync.OnceFunc(func() { proxy.Send(0, status[9:]) })
	s.Hook = func(p pgtest.Point) pgtest.Action {
		if p == beforeWait {
			sendRest()
		}
		return pgtest.Serve
	}
	r := s.Try("SELECT 'usable'")
	sendRest()
	require.Nil(t, r.Fault)
	require.Equal(t, [][]string{{"usable"}}, r.Rows)
	requireUsable(t, s)
	requireUsable(t, s)
}

func TestTheSimpleProtocolCarriesConstantsOnly(t *testing.T) {
	t.Parallel()
	_, d, proxy := beginProxied(t, oneConnection)
	s := d.Open("r", mainAlias)
	requireUsable(t, s)
	proxy.Forget()
	s.Begin()
	s.Query("SELECT $1::text", "x'; DROP TABLE t; --")
	s.Commit()
	for _, m := range proxy.Seen(pgtest.ToServer) {
		if m.Kind == 'Q' {
			require.Equal(t, "COMMIT\x00", string(m.Bytes[5:]))
		}
	}
	require.Equal(t, uint32(abi.StateCommitted), s.Core.State()&0xff)
}
