// Package layout asserts how the packages of the core may import each other.
package layout

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "hypern/go/"

// allowed says which of the core's packages each one may import: imports point one way.
var allowed = map[string][]string{
	"abi":     {},
	"wire":    {},
	"sqltext": {},
	"pool":    {"abi", "wire", "sqltext"},
	"session": {"abi", "wire", "sqltext", "pool"},
	"bridge":  {"abi", "wire", "sqltext", "pool", "session"},
	"pgtest":  {"abi", "wire", "pool", "session"},
}

// goPackage is what the tests need of `go list -json`.
type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "hypern/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestImportsPointOneWay(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name, own := strings.CutPrefix(p.ImportPath, module)
		if !own {
			continue
		}
		seen[name] = true
		may, known := allowed[name]
		if !known {
			t.Errorf("package %s has no place in the layout", p.ImportPath)
		}
		for _, i := range p.Imports {
			if imported, own := strings.CutPrefix(i, module); own && !slices.Contains(may, imported) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("package %s%s is gone from the layout", module, name)
		}
	}
}

func TestOnlyTestsImportTheTestKit(t *testing.T) {
	for _, p := range packages(t) { // Imports leaves out those of test files
		if slices.Contains(p.Imports, module+"pgtest") {
			t.Errorf("%s imports the test kit outside its tests", p.ImportPath)
		}
	}
}

func TestTheWireFormatNeedsNothingButTheStandardLibrary(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != module+"wire" {
			continue
		}
		for _, i := range p.Imports {
			if strings.Contains(i, ".") || i == "C" {
				t.Errorf("package wire imports %s", i)
			}
		}
	}
}
