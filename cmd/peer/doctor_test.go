package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

func TestDoctor_SaysWhereItStops(t *testing.T) {
	dir := t.TempDir()
	a := up(t, filepath.Join(dir, "a"))
	b := up(t, filepath.Join(dir, "b"))
	other := up(t, filepath.Join(dir, "other"), "--network", "other")
	nobody := strings.Replace(a.addr(), a.ID, b.ID, 1) // b is not there
	gone := up(t, filepath.Join(dir, "gone"))
	gone.kill()
	for _, c := range []struct {
		name, target string
		code         int
		says         []string
	}{
		{"alone", "", exitTimeout, []string{"ok    identity", "ok    listeners", "FAIL  neighbours"}},
		{"another network", other.addr(), exitRefused, []string{"ok    dial", "FAIL  hello", "another key"}},
		{"somebody else", nobody, exitTimeout, []string{"FAIL  dial", "somebody else answers, " + a.ID}},
		{"nothing listens", gone.addr(), exitTimeout, []string{"nothing listens there", "FAIL  secure channel"}},
		{"unknown", gone.ID, exitTimeout, []string{"FAIL  address"}},
		{"nonsense", "nonsense", exitUsage, []string{"FAIL  address"}},
		{"fine", b.addr(), 0, []string{"ok    hello", "ok    clocks"}},
		{"a neighbour by its ID", b.ID, 0, []string{"ok    neighbours", "ok    clocks"}},
	} {
		args := []string{"doctor"}
		if c.target != "" {
			args = append(args, c.target)
		}
		r := a.peer(args...)
		if r.code != c.code {
			t.Errorf("%s: exit %d, want %d\n%s%s", c.name, r.code, c.code, r.out, r.err)
		}
		for _, says := range c.says {
			if !strings.Contains(r.out, says) {
				t.Errorf("%s: does not say %q\n%s", c.name, says, r.out)
			}
		}
	}
	if log := other.log.String(); !strings.Contains(log, "no common network") || !strings.Contains(log, a.ID) {
		t.Errorf("the other end's log does not say why: %s", log)
	}
	for line := range strings.Lines(a.ok("doctor", "--json")) {
		var st control.Step
		if err := json.Unmarshal([]byte(line), &st); err != nil || st.Step == "" || !st.OK {
			t.Errorf("%s: %v", line, err)
		}
	}
}
