package sqltext

import (
	"slices"
	"testing"
)

func TestCustomSettings(t *testing.T) {
	for text, want := range map[string][]string{
		"set search_path = a; select 1":                               nil,
		"SET App.User = 'x'; set local b.c to 1; set session d.e = 2": {"app.user", "b.c", "d.e"},
		"reset app.user; update t set x.y = 1":                        {"app.user", "x.y"},
		"select set_config('a.b', 'c', true), set_config(d, 'e', f)":  {"a.b"},
		"do $$ begin perform set_config('a.b', '', false); end $$":    {"a.b"},
		"do $$ begin execute 'set a.b to 1'; end $$":                  {"a.b"},
		"select 'set a.', set_config('a.b c}', '', true)":             nil,
	} {
		if got := CustomSettings(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}
