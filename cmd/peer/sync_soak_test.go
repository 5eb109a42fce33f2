package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/p2p-today/go2p/cmd/peer/control"
)

// Three processes write all the time, each to keys of its own and to some that all want,
// while one after the other is killed and started again. In the end all have the same,
// every key has at least what its writer was told is written, and no process has grown.
func TestSync_SoakLosesNoWrite(t *testing.T) {
	const peers = 3
	length, every := 6*time.Second, 2*time.Second
	if os.Getenv("GO2P_LONG") == "1" {
		length, every = 10*time.Minute, 20*time.Second
	}
	dir := t.TempDir()
	procs := make([]*peerProcess, peers)
	for i := range procs {
		var args []string
		if i > 0 {
			args = []string{"--join", procs[i-1].addr()}
		}
		procs[i] = up(t, filepath.Join(dir, fmt.Sprint(i)), args...)
	}
	begun := time.Now()
	var mu sync.Mutex
	written := map[string]int{}
	var acknowledged, refused atomic.Int64
	var writers sync.WaitGroup
	for i := range peers {
		for w := range 4 {
			writers.Go(func() {
				client := control.NewClient(filepath.Join(dir, fmt.Sprint(i)), 10*time.Second)
				tick := time.NewTicker(20 * time.Millisecond) // 600 a second from all
				defer tick.Stop()
				for n := 1; time.Since(begun) < length; n++ {
					<-tick.C
					key := fmt.Sprintf("peer%d/%d/%d", i, w, n%500)
					if n%10 == 0 {
						key = fmt.Sprint("shared/", rand.IntN(50))
					}
					var l control.Lease
					q := control.KeyRequest{Key: control.Key(key), Value: json.RawMessage(strconv.Itoa(n))}
					if err := client.Call(t.Context(), control.Sync.Path(control.Set), q, &l); err != nil {
						refused.Add(1) // it is down, or the key is another's
						continue
					}
					acknowledged.Add(1)
					if n%10 != 0 {
						mu.Lock()
						written[key] = n
						mu.Unlock()
					}
				}
			})
		}
	}
	kills, first, most := 0, 0, 0
	tick := time.NewTicker(every)
	defer tick.Stop()
	for k := 1; time.Since(begun) < length; k++ {
		<-tick.C
		i := rand.IntN(peers)
		for _, p := range procs {
			most = max(most, resident(t, p))
		}
		if k <= 3 {
			first = most
		}
		procs[i].cmd.Process.Signal(syscall.SIGKILL)
		procs[i].cmd.Wait()
		kills++
		time.Sleep(time.Duration(rand.Int64N(int64(every / 2))))
		procs[i] = up(t, procs[i].dir, "--join", procs[(i+1)%peers].addr())
	}
	writers.Wait()
	var exports [peers]string
	eventually(t, func() bool {
		for i, p := range procs {
			exports[i] = p.ok("sync", "export")
		}
		return exports[0] == exports[1] && exports[0] == exports[2]
	}, func() string { return "the replicas do not become equal" })
	has := map[string]int{}
	for line := range strings.Lines(exports[0]) {
		var kv control.KeyValue
		if err := json.Unmarshal([]byte(line), &kv); err != nil {
			t.Fatal(err)
		}
		has[string(kv.Key)] = int(kv.Value.(int64))
	}
	for key, n := range written {
		if has[key] < n {
			t.Errorf("%s is %d, acknowledged as %d", key, has[key], n)
		}
	}
	t.Logf("%v, %d kills: %d writes acknowledged, %d refused or met nobody, %d keys equal at all; resident at most %d KiB, %d at first",
		length, kills, acknowledged.Load(), refused.Load(), len(has), most, first)
	if first > 0 && most > 2*first+100_000 {
		t.Errorf("a process has grown to %d KiB, from %d", most, first)
	}
}

// resident is the memory of a process in KiB, 0 where the system does not tell.
func resident(t *testing.T, p *peerProcess) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}
