package session

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALabelCannotEndItsComment(t *testing.T) {
	for label, want := range map[string]string{
		"":                      "",
		"orders.create":         "/*label='orders.create'*/",
		"/users/{id}":           "/*label='/users/{id}'*/",
		"a*/ DROP TABLE t; /*b": "/*label='a%2A/ DROP TABLE t; /%2Ab'*/",
		"it's 5 %\n":            "/*label='it%27s 5 %25%0A'*/",
		"größe":                 "/*label='größe'*/",
	} {
		require.Equal(t, want, labelComment(label))
	}
}
