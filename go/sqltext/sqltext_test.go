package sqltext

import (
	"slices"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for text, want := range map[string][]Token{
		"":                                    nil,
		" -- only\n /* a /* nested */ b */ ;": {{Kind: Symbol, Text: ";"}},
		"SELECT a.\"B c\"":                    {{Kind: Word, Text: "select"}, {Kind: Word, Text: "a"}, {Kind: Symbol, Text: "."}, {Kind: Quoted, Text: "B c"}},
		"'it''s'":                             {{Kind: String, Text: "it''s"}},
		`E'a\'b' 'c\'`:                        {{Kind: String, Text: `a\'b`}, {Kind: String, Text: `c\`}},
		"U&'x' n'y' eels":                     {{Kind: String, Text: "x"}, {Kind: String, Text: "y"}, {Kind: Word, Text: "eels"}},
		"$1 + $22":                            {{Kind: Param, Text: "$1"}, {Kind: Symbol, Text: "+"}, {Kind: Param, Text: "$22"}},
		"$$now$$ $a$x$$y$a$":                  {{Kind: String, Text: "now"}, {Kind: String, Text: "x$$y"}},
		"$ $a$never ends":                     {{Kind: Symbol, Text: "$"}, {Kind: String, Text: "never ends"}},
		"'never ends":                         {{Kind: String, Text: "never ends"}},
		"a$1 1.5e3 \"never":                   {{Kind: Word, Text: "a$1"}, {Kind: Number, Text: "1.5e3"}, {Kind: Quoted, Text: "never"}},
		"x/**/y--z":                           {{Kind: Word, Text: "x"}, {Kind: Word, Text: "y"}},
		"/* never ends":                       nil,
	} {
		var got []Token
		for s := NewScanner(text); ; {
			token := s.Next()
			if token.Kind == End {
				break
			}
			got = append(got, token)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzScannerEnds(f *testing.F) {
	f.Add("select $tag$ 'x' /* -- $tag$ E'\\")
	f.Fuzz(func(t *testing.T, text string) {
		s := NewScanner(text)
		for n := 0; s.Next().Kind != End; n++ {
			if n > len(text) {
				t.Fatal("more tokens than bytes")
			}
		}
	})
}

func TestEffects(t *testing.T) {
	reported := func(setting string) bool { return setting == "timezone" }
	for text, want := range map[string]Effect{
		"select 1":                                                     {},
		"set search_path to a":                                         {Settings: Set},
		"/* x */ SET LOCAL Search_Path = a":                            {Settings: SetLocal},
		"set session search_path to a":                                 {Settings: Set},
		"set role a":                                                   {Settings: Set},
		"set session authorization a":                                  {Settings: Set},
		"set time zone 'UTC'":                                          {Settings: Set},
		"set local app.user = 'x'":                                     {},
		"set \"app\".user = 'x'":                                       {},
		"set transaction isolation level serializable":                 {},
		"set local transaction read only":                              {},
		"set session characteristics as transaction read only":         {},
		"set constraints all deferred":                                 {},
		"set lock_timeout to 1":                                        {},
		"set enable_seqscan to off":                                    {},
		"reset all":                                                    {Settings: Set},
		"reset app.user":                                               {},
		"select set_config('app.user', $1, true)":                      {},
		"select pg_catalog.set_config('app.user', $1, true)":           {},
		"select set_config('TimeZone', $1, true)":                      {},
		"select set_config('search_path', $1, true)":                   {Settings: Unknown},
		"select \"set_config\"($1, $2, true)":                          {Settings: Unknown},
		"select set_config('a.b' || 'c', $1, true)":                    {Settings: Unknown},
		"select set_config('a.b', $1, true), set_config($2, $1, true)": {Settings: Unknown},
		"select 'set_config'":                                          {},
		"select 'now'::timestamp":                                      {Volatile: true},
		"select date 'Today'":                                          {Volatile: true},
		"select $$tomorrow$$::date":                                    {Volatile: true},
		"select '[yesterday,2030-01-01)'::daterange":                   {Volatile: true},
		"select '{now}'::timestamp[]":                                  {Volatile: true},
		"select 'nowhere', 'todays' /* 'now' */":                       {},
		"select now(), \"today\" from today":                           {},
		"select 't'::regclass":                                         {Volatile: true},
		"select regtype 't'":                                           {Volatile: true},
		"select $1::regclass":                                          {},
		"execute p(1)":                                                 {Executes: true},
		"insert into t values ('as " + strings.Repeat("so many ", 200) + "say, the shop is open now')": {},
	} {
		if got := Examine(text, reported); got != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
