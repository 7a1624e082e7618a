package sqltext

import (
	"slices"
	"strings"
)

// CustomSettings are the settings of the user's own, whose names have a dot, that a text may set, also in
// the bodies of functions: those after SET, and those that set_config is given as a constant.
func CustomSettings(text string) []string {
	found := customSettings(text, nil, 0)
	slices.Sort(found)
	return slices.Compact(found)
}

// bodiesMax is how deep strings may lie in strings that are read as SQL.
const bodiesMax = 3

func customSettings(text string, found []string, depth int) []string {
	s := NewScanner(text)
	for t := s.Next(); t.Kind != End; t = s.Next() {
		switch {
		case t.Is("set") || t.Is("reset"):
			before := s.at
			next := s.Next()
			if next.Is("session") || next.Is("local") {
				next = s.Next()
			}
			found = appendCustom(found, setting(s, next))
			s.at = before
		case t.Kind == String && strings.Contains(t.Text, "set"):
			if depth < bodiesMax {
				found = customSettings(t.Text, found, depth+1)
			}
		case (t.Kind == Word || t.Kind == Quoted) && t.Text == "set_config":
			before := s.at
			if s.Next().Is("(") {
				if name := s.Next(); name.Kind == String {
					found = appendCustom(found, lower(name.Text))
				}
			}
			s.at = before
		}
	}
	return found
}

// appendCustom adds a name if it is one of the user's own settings as the server takes them.
func appendCustom(found []string, name string) []string {
	dot := strings.IndexByte(name, '.')
	if dot <= 0 || dot == len(name)-1 {
		return found
	}
	for i := range len(name) {
		if c := name[i]; c != '.' && !isWordPart(c) {
			return found
		}
	}
	return append(found, name)
}
