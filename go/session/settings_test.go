package session

import (
	"slices"
	"testing"
)

func TestChangedSettings(t *testing.T) {
	before := []setting{{"session_authorization", "a", ""}, {"role", "r", ""}, {"x", "1", "0"}, {"y", "2", "0"}, {"app.z", "", ""}}
	for name, c := range map[string]struct{ now, want []setting }{
		"nothing": {before, nil},
		"one":     {[]setting{{"role", "r", ""}, {"x", "5", "0"}, {"y", "2", "0"}}, []setting{{"x", "1", ""}}},
		"the user, and so the role": {[]setting{{"session_authorization", "b", ""}, {"role", "r", ""}},
			[]setting{{"session_authorization", "a", ""}, {"role", "r", ""}}},
		"a new one":             {[]setting{{"ext.new", "5", "3"}, {"ext.other", "3", "3"}}, []setting{{"ext.new", "3", ""}}},
		"one of the user's own": {[]setting{{"app.z", "7", ""}}, []setting{{"app.z", "", ""}}},
	} {
		if got := changed(before, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
