package compat

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// matrix is what came of each way to be connected, by kind.
var matrix = struct {
	sync.Mutex
	rows map[string]map[string]string
}{rows: map[string]map[string]string{}}

// record notes in the matrix what will have come of a test.
func record(t *testing.T, l way, kind string) {
	t.Cleanup(func() {
		outcome := "ok"
		if t.Skipped() {
			outcome = "not installed"
		} else if t.Failed() {
			outcome = "FAILED"
		}
		note(l.String(), kind, outcome)
	})
}

func note(row, kind, outcome string) {
	matrix.Lock()
	defer matrix.Unlock()
	if matrix.rows[row] == nil {
		matrix.rows[row] = map[string]string{}
	}
	matrix.rows[row][kind] = outcome
}

// TestMain prints the matrix of what was tried with old peers, also to the file that
// GO2P_MATRIX names.
func TestMain(m *testing.M) {
	code := m.Run()
	if len(matrix.rows) > 0 {
		printMatrix(os.Stdout)
		if name := os.Getenv("GO2P_MATRIX"); name != "" {
			f, err := os.Create(name)
			if err != nil {
				panic(err)
			}
			printMatrix(f)
			f.Close()
		}
	}
	os.Exit(code)
}

func printMatrix(w io.Writer) {
	captured()
	kinds := []string{"mesh", "sync", "sync without leasing", "chord"}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "with\t"+strings.Join(kinds, "\t"))
	for _, row := range slices.Sorted(maps.Keys(matrix.rows)) {
		cells := []string{row}
		for _, kind := range kinds {
			cells = append(cells, matrix.rows[row][kind])
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	out.Flush()
}

// captured adds the versions that cannot be had any more, which are replayed.
func captured() {
	for _, release := range []string{"0.4.516", "0.5.607", "0.6.757"} {
		for _, kind := range []string{"mesh", "sync", "chord"} {
			if found, _ := filepath.Glob("testdata/captures/" + release + "-*js*-" + kind + "*"); len(found) > 0 {
				note("js "+release[:3]+" Plaintext, not to be had", kind, "replayed")
			}
		}
	}
}
