package sqltext

import "testing"

func TestCopyWay(t *testing.T) {
	for sql, want := range map[string]Way{
		"COPY t FROM STDIN": CopyIn,
		"-- data\ncopy t (a, b) from stdin (format csv)":  CopyIn,
		`COPY "from" FROM stdin`:                          CopyIn,
		"COPY t TO STDOUT WITH (FORMAT binary)":           CopyOut,
		"COPY (SELECT 'FROM STDIN' FROM stdin) TO STDOUT": CopyOut,
		"COPY t FROM '/etc/passwd'":                       NoCopy,
		"COPY t FROM PROGRAM 'stdin'":                     NoCopy,
		"SELECT 1 FROM stdin":                             NoCopy,
		"":                                                NoCopy,
	} {
		if got := CopyWay(sql); got != want {
			t.Errorf("%q: %q, want %q", sql, got, want)
		}
	}
}
