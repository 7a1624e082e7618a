// Package layout asserts how the packages of the core may import each other.
package layout

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "hypern/go/"

// allowed says which of the core's packages each one may import: imports point one way.
var allowed = map[string][]string{
	"abi":        {},
	"wire":       {},
	"sqltext":    {},
	"process":    {},
	"connection": {"wire", "sqltext", "process"},
	"pool":       {"wire", "process", "connection"},
	"listen":     {"wire", "process", "connection", "pool"},
	"session":    {"abi", "wire", "sqltext", "process", "connection", "pool", "listen"},
	"bridge":     {"abi", "wire", "sqltext", "process", "session"},
	"pgtest":     {"abi", "wire", "process", "connection", "pool", "session"},
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

// private lists the types whose fields nobody but their package may touch. The compiler sees to that once
// the fields have lower-case names.
var private = map[string][]string{
	"process":    {"Event"},
	"connection": {"Conn", "Dialer", "Statements", "Environment"},
	"pool":       {"Pool", "Waiter"},
	"session":    {"Session", "Registry"},
}

func TestStateIsPrivateToItsPackage(t *testing.T) {
	for name, types := range private {
		fields := map[string][]string{}
		files, err := filepath.Glob(filepath.Join(name, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if st, ok := spec.Type.(*ast.StructType); ok {
					fields[spec.Name.Name] = exported(st)
				}
				return true
			})
		}
		for _, of := range types {
			if names, known := fields[of]; !known || len(names) > 0 {
				t.Errorf("%s.%s: a struct: %v; fields open to other packages: %v", name, of, known, names)
			}
		}
	}
}

// exported names the fields of a struct that other packages can touch, embedded ones among them.
func exported(st *ast.StructType) []string {
	var names []string
	for _, field := range st.Fields.List {
		if len(field.Names) == 0 {
			names = append(names, "an embedded one")
		}
		for _, name := range field.Names {
			if name.IsExported() {
				names = append(names, name.Name)
			}
		}
	}
	return names
}
