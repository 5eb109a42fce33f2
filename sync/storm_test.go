package sync

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
)

// wrongClock is a day off for a third of the replicas.
func wrongClock(self string) time.Time {
	h := fnv.New32()
	h.Write([]byte(self))
	off := []time.Duration{0, 0, 0, 0, 24 * time.Hour, -24 * time.Hour}[h.Sum32()%6]
	return time.Now().Add(off)
}

// P4 and P5: whatever is written and deleted on both sides of partitions of minutes, with
// a fifth of all packets lost, replicas killed and started again and clocks a day off,
// all replicas are equal five seconds after the first connection between the halves.
func TestStorm_AllBecomeEqual(t *testing.T) {
	n, rounds := 8, 1
	if os.Getenv("GO2P_LONG") == "1" {
		n, rounds = 30, 10
	}
	for range rounds {
		testnet.Run(t, func(t *testing.T, seed uint64) { becomeEqual(t, seed, n) })
	}
}

func becomeEqual(t *testing.T, seed uint64, n int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	l := newSimNetwork(t, seed, n)
	disks := make([]*vfs.MemFS, n)
	open := func(i int) {
		opts := &Options{Lease: 2 * time.Minute, wallClock: wrongClock}
		if disks[i] != nil {
			opts.Dir, opts.files = "store", disks[i]
		}
		l.open(i, opts)
	}
	for i := range n {
		if i%2 == 0 {
			disks[i] = vfs.NewCrashableMem()
		}
		open(i)
	}
	link := func(i int) {
		for range 2 {
			if j := rng.IntN(n); j != i {
				l.Meshes[i].Connect(l.Ctx(), l.Info(j))
			}
		}
	}
	for i := range n {
		l.Connect(i, (i+1)%n)
		link(i)
	}
	meshtest.Pass(5 * time.Second)
	writes := 0
	act := func(i int) {
		key := fmt.Sprint("key", rng.IntN(200))
		d := l.dicts[i]
		var err error
		if _, held := d.Get(key); held == nil && rng.IntN(3) == 0 {
			err = d.Delete(l.Ctx(), key)
		} else {
			err = d.Set(l.Ctx(), key, rng.IntN(1000))
		}
		if err == nil {
			writes++
		} else if _, held := errors.AsType[*LeaseError](err); !held && !errors.Is(err, ErrNotFound) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	l.Loss(0.2)
	for range 3 {
		half := rng.Perm(n)[:n/2]
		side := map[int]bool{}
		for _, i := range half {
			side[i] = true
		}
		l.Cut(half...)
		for range 60 { // two minutes
			for range n {
				act(rng.IntN(n))
			}
			meshtest.Pass(2 * time.Second)
		}
		victim := rng.IntN(n)
		l.dicts[victim].Close()
		l.Meshes[victim].Close()
		l.Kill(victim)
		if disks[victim] != nil {
			disks[victim] = disks[victim].CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		}
		meshtest.Pass(time.Second)
		l.Restart(victim)
		open(victim)
		if side[victim] { // Restart has put it on the other side
			l.Cut(half...)
		}
		l.Cut()
		for len(l.Meshes[victim].Peers()) == 0 { // it remembers nobody
			link(victim)
		}
		start := time.Now()
		for !l.reconnected(side) {
			meshtest.Pass(100 * time.Millisecond)
			if time.Since(start) > 10*time.Minute {
				t.Fatal("the halves do not find each other")
			}
		}
		meshtest.Pass(5 * time.Second)
		if !l.equal() {
			for i := range n {
				l.report(i)
			}
			t.Fatalf("not equal 5 s after the first reconnection, which took %v", time.Since(start)-5*time.Second)
		}
	}
	for i, d := range l.dicts {
		if n := d.Status().Rejected; n != 0 {
			t.Errorf("%d has rejected %d times what honest peers sent", i, n)
		}
	}
	t.Logf("%d writes, %d keys in the end", writes, l.dicts[0].Len())
}

// reconnected reports whether a host of one side has a neighbour on the other.
func (l *simNetwork) reconnected(side map[int]bool) bool {
	for i, m := range l.Meshes {
		for _, p := range m.Peers() {
			for j := range l.Hosts {
				if l.Hosts[j].ID() == p.ID && side[i] != side[j] {
					return true
				}
			}
		}
	}
	return false
}

// report shows what a replica has.
func (l *simNetwork) report(i int) {
	d := l.dicts[i]
	l.t.Logf("%d: %v, %d wait, %d neighbours, sessions %d", i, d.state(), d.Status().Waiting, len(l.Meshes[i].Peers()), d.stats.sessions.Load())
}
