package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Python takes a fault with a severity for the server's own words.
func TestNoFaultOfTheCoresOwnHasASeverity(t *testing.T) {
	for _, pattern := range []string{"*.go", "../pool/*.go", "../bridge/*.go", "../wire/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") && strings.Contains(string(text), `Severity: "`) {
				t.Errorf("%s makes a fault that claims to be the server's", file)
			}
		}
	}
}
