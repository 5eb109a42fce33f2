package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/cmd/peer/control"
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

// A client that sends its request in chunks is missed when it goes, too.
func TestLock_EndsWithItsClient(t *testing.T) {
	p := up(t, t.TempDir())
	ctx, gone := context.WithCancel(t.Context())
	defer gone()
	chunks := struct{ io.Reader }{strings.NewReader(`{"key":"job"}`)} // of a length that is not known
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://peer"+control.PathSyncLock, chunks)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.http().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var st control.Locked
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil || st.Event != "held" {
		t.Fatalf("%+v, %v", st, err)
	}
	p.ok("sync", "get", "job")
	gone()
	p.lacks("job")
}
