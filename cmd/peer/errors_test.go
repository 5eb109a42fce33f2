package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// docs/operations.md has each code that an answer can have, with the exit code of the command.
func TestCodes_AreDocumentedWithTheirExitCodes(t *testing.T) {
	source, err := os.ReadFile("control/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	clients := []control.Code{control.CodeNotRunning, control.CodeInterrupted}
	want := map[control.Code]bool{}
	for _, m := range regexp.MustCompile(`Code = "(\w+)"`).FindAllSubmatch(source, -1) {
		if c := control.Code(m[1]); !slices.Contains(clients, c) {
			want[c] = true
		}
	}
	if len(want) < 20 {
		t.Fatalf("found the codes %v", want)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .* \\| (\\d) \\|$").FindAllSubmatch(doc, -1) {
		c := control.Code(m[1])
		if exit, _ := remedy(&control.Error{Code: c}); strconv.Itoa(exit) != string(m[2]) {
			t.Errorf("the command exits with %d for %s, which is documented as %s", exit, c, m[2])
		}
		if !want[c] {
			t.Errorf("%s is documented, and is no code", c)
		}
		delete(want, c)
	}
	for c := range want {
		t.Errorf("%s is not documented", c)
	}
}
