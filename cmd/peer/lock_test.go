package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLock_OneHolderAtATime(t *testing.T) {
	a, b, _ := line(t)
	first := a.ok("lock", "job", "--", "sh", "-c", "echo $PEER_TERM")
	second := a.ok("lock", "job", "--", "sh", "-c", "echo $PEER_TERM")
	one, _ := strconv.Atoi(strings.TrimSpace(first))
	two, _ := strconv.Atoi(strings.TrimSpace(second))
	if one == 0 || two <= one {
		t.Errorf("terms %q, %q", first, second)
	}
	if r := a.peer("lock", "job", "--", "sh", "-c", "exit 42"); r.code != 42 {
		t.Errorf("the command's code: %+v", r)
	}
	started := filepath.Join(t.TempDir(), "started") // and not ended as long as it is there
	held := make(chan result)
	hold := func(p *peerProcess) {
		held <- p.peer("lock", "job", "--", "sh", "-c", fmt.Sprintf("touch %s; while [ -e %[1]s ]; do sleep 0.1; done", started))
	}
	go hold(a)
	eventually(t, func() bool { _, err := os.Stat(started); return err == nil }, func() string { return "not started" })
	b.gets("job", strings.TrimSpace(a.ok("sync", "get", "job")))
	if r := b.peer("lock", "job", "--timeout", "500ms", "--", "true"); r.code != exitLease {
		t.Errorf("the lock of another peer: %+v", r)
	}
	if r := a.peer("lock", "job", "--timeout", "300ms", "--", "true"); r.code != exitLease {
		t.Errorf("the lock of another command of the same peer: %+v", r)
	}
	os.Remove(started)
	if r := b.peer("lock", "job", "--timeout", patience.String(), "--", "true"); r.code != 0 {
		t.Errorf("waiting for the lock: %+v", r)
	}
	if r := <-held; r.code != 0 {
		t.Errorf("the first holder: %+v", r)
	}
	b.lacks("job")

	go hold(b)
	eventually(t, func() bool { _, err := os.Stat(started); return err == nil }, func() string { return "not started" })
	b.kill()
	if r := <-held; r.code != exitLease {
		t.Errorf("a command whose peer is gone: %+v", r)
	}
}
