package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestUp_SignalEndsCleanly(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		dir := filepath.Join(t.TempDir(), "data")
		p := up(t, dir)
		follow := make(chan result)
		go func() { follow <- p.peer("mesh", "recv", "-f") }()
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", sig, err, p.log)
		}
		if r := <-follow; r.code == 0 {
			t.Errorf("who followed was not told: %+v", r)
		}
		for _, name := range []string{"control.sock", "pid"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%v left %s", sig, name)
			}
		}
	}
}

// A socket's name must be short; a directory's need not be.
func TestUp_DataDirectoryMayHaveALongName(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	p := up(t, dir)
	if out := p.ok("status", "--json"); !strings.Contains(out, p.ID) {
		t.Error(out)
	}
	p.kill()
	q := up(t, dir)
	q.cmd.Process.Signal(os.Interrupt)
	q.cmd.Wait()
	if left, _ := os.ReadDir(os.Getenv("XDG_RUNTIME_DIR")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUp_SocketIsPrivate(t *testing.T) {
	p := up(t, t.TempDir())
	info, err := os.Stat(filepath.Join(p.dir, "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
