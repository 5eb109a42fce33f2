package sync

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// restart kills a host and starts it again after a while, with what its disk has after
// a crash.
func (l *simNetwork) restart(i int, away time.Duration, disk *vfs.MemFS) *vfs.MemFS {
	l.t.Helper()
	l.dicts[i].Close()
	l.Meshes[i].Close()
	l.dicts[i] = nil
	l.Kill(i)
	disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))})
	meshtest.Pass(away)
	l.Restart(i)
	l.open(i, &Options{Dir: "store", files: disk})
	return disk
}

// P5: what was deleted while a replica was away for days stays deleted when it comes
// back, although it has it on its disk, and whoever deleted it is not there any more.
func TestFaults_DeletedStaysDeleted(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 3)
		disks := []*vfs.MemFS{vfs.NewCrashableMem(), vfs.NewCrashableMem(), vfs.NewCrashableMem()}
		for i := range 3 {
			l.open(i, &Options{Dir: "store", files: disks[i]})
		}
		l.Connect(0, 1)
		l.Connect(1, 2)
		l.Connect(0, 2)
		meshtest.Pass(3 * time.Second)
		for i := range 30 {
			l.set(i%3, fmt.Sprint("key", i), i, Acks(2))
		}
		l.dicts[2].Close()
		l.Meshes[2].Close()
		l.dicts[2] = nil
		l.Kill(2)
		for i := range 30 {
			key := fmt.Sprint("key", i)
			if i%3 == 2 {
				continue // of the one that is away
			}
			if err := l.dicts[i%3].Delete(l.Ctx(), key); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(3 * time.Second)
		meshtest.Pass(2 * time.Hour)
		disks[1] = l.restart(1, time.Minute, disks[1])
		l.Connect(1, 0)
		meshtest.Pass(2 * time.Second)
		for i := 2; i < 30; i += 3 { // whose leases have run out
			if err := l.dicts[1].Delete(l.Ctx(), fmt.Sprint("key", i)); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(time.Second)
		l.dicts[0].Close()
		l.Meshes[0].Close()
		l.dicts[0] = nil
		l.Restart(2)
		l.open(2, &Options{Dir: "store", files: disks[2]})
		if n := l.dicts[2].Len(); n != 30 {
			t.Errorf("%d keys on the disk of the one that was away", n)
		}
		l.Connect(2, 1)
		meshtest.Pass(2 * time.Second)
		if n := l.dicts[2].Len() + l.dicts[1].Len(); n != 0 || !l.equal() {
			t.Errorf("%d keys are back", n)
		}
	})
}

// P6: a takeover happens only when the lease has run out for the one who takes over; one
// that both sides of a partition have at once ends with the higher term, everywhere, and
// the owner that lost is told.
func TestFaults_TakeoverOnlyAfterLease(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 3)
		l.openAll(nil)
		l.Connect(0, 2)
		l.set(0, "k", "first")
		meshtest.Pass(time.Second)
		l.Cut(0)
		meshtest.Pass(time.Minute)
		lease := (*LeaseError)(nil)
		for range 11 { // the owner goes on writing, but nobody hears of it
			if err := l.dicts[1].Set(l.Ctx(), "k", "second"); !errors.As(err, &lease) {
				t.Fatalf("taken over while the lease ran: %v", err)
			}
			l.set(0, "k", "renewed")
			meshtest.Pass(5 * time.Minute)
		}
		meshtest.Pass(9 * time.Minute)
		l.set(1, "k", "second")
		meshtest.Pass(time.Second)
		l.has("k", "second", 1, 2)
		l.has("k", "renewed", 0)
		l.Cut()
		for !l.reconnected(map[int]bool{0: true}) {
			meshtest.Pass(time.Second)
		}
		meshtest.Pass(2 * time.Second)
		l.has("k", "second", 0, 1, 2)
		if !l.equal() || !l.emitted(0, EventLost) {
			t.Errorf("equal %v, events of the owner that lost %v", l.equal(), l.events[0])
		}
		if err := l.dicts[0].Set(l.Ctx(), "k", "third"); !errors.As(err, &lease) {
			t.Errorf("the old owner writes: %v", err)
		}
	})
}

// With a directory that comes back from a backup, or was copied, nothing is lost of what
// was written with it or before, whether it is written to before or after others are met.
func TestFaults_BackupLosesNothing(t *testing.T) {
	for _, alone := range []bool{true, false} {
		testnet.Run(t, func(t *testing.T, seed uint64) { testBackup(t, seed, alone) })
	}
}

func testBackup(t *testing.T, seed uint64, alone bool) {
	l := newSimNetwork(t, seed, 3)
	disk := vfs.NewCrashableMem()
	l.open(0, &Options{Dir: "store", files: disk})
	l.open(1, nil)
	l.open(2, nil)
	l.Connect(0, 1)
	l.Connect(1, 2)
	meshtest.Pass(3 * time.Second)
	l.set(0, "before", 1)
	backup := disk.CrashClone(vfs.CrashCloneCfg{})
	l.set(0, "after", 2)
	l.set(0, "before", 2)
	l.set(0, "gone", 1)
	meshtest.Pass(time.Second)
	if err := l.dicts[0].Delete(l.Ctx(), "gone"); err != nil {
		t.Fatal(err)
	}
	meshtest.Pass(time.Second)
	// The backup is put back.
	l.dicts[0].Close()
	l.Meshes[0].Close()
	l.Kill(0)
	l.Restart(0)
	l.open(0, &Options{Dir: "store", files: backup})
	l.has("before", int64(1), 0)
	if alone {
		l.set(0, "alone", 3)
	}
	l.Connect(0, 1)
	if !alone {
		meshtest.Pass(time.Second)
		l.set(0, "alone", 3)
	}
	meshtest.Pass(5 * time.Second)
	l.has("alone", int64(3), 0, 1, 2)
	l.has("after", int64(2), 0, 1, 2)
	l.has("before", int64(2), 0, 1, 2)
	l.lacks("gone", 0, 1, 2)
	if !l.equal() || l.emitted(0, EventClash) == alone {
		t.Errorf("alone %v: equal %v, events %v", alone, l.equal(), l.events[0])
	}
	l.set(0, "later", 4)
	meshtest.Pass(time.Second)
	l.has("later", int64(4), 0, 1, 2)
}

// A peer whose key is in use on two machines finds it out when it hears of a write that
// it has not made: it takes another name, and writes again what it has written itself.
func TestFaults_CopiedIdentityWritesAgain(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 3)
		l.openAll(nil)
		l.set(0, "mine", 1)
		d := l.dicts[0]
		copied := replica.New(d.pipeline.replica.Rules, d.pipeline.replica.Writer, 1<<30)
		now := d.clock.now()
		out := copied.Write(now, &replica.Update{Build: func(*replica.Replica) ([]replica.Op, error) {
			return []replica.Op{{Key: "theirs", Value: "\x01"}, {Key: "more", Value: "\x02"}}, nil
		}})
		messages, err := copied.Seal(now, out.Written, crand.Reader, d.syncer.verifier.sign)
		if err != nil {
			t.Fatal(err)
		}
		l.dicts[2].broadcaster.publish(l.Ctx(), messages)
		meshtest.Pass(10 * time.Second)
		l.has("mine", int64(1), 0, 1, 2)
		l.has("more", int64(2), 0, 1, 2)
		if !l.equal() || !l.emitted(0, EventClash) {
			t.Errorf("equal %v, events %v", l.equal(), l.events[0])
		}
	})
}

// Two that reach each other by way of a relay only, which topics pass over, share all the
// same.
func TestFaults_RelayedPeersShareAllTheSame(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 3)
		l.Block(0, 2, true)
		for _, i := range []int{0, 2} {
			if err := l.Hosts[i].Connect(l.Ctx(), l.Info(1)); err != nil {
				t.Fatal(err)
			}
			l.open(i, nil)
		}
		if _, err := client.Reserve(l.Ctx(), l.Hosts[2], l.Info(1)); err != nil {
			t.Fatal(err)
		}
		way := ma.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", l.Hosts[1].Addrs()[0], l.Hosts[1].ID()))
		if err := l.Meshes[0].Connect(l.Ctx(), peer.AddrInfo{ID: l.Hosts[2].ID(), Addrs: []ma.Multiaddr{way}}); err != nil {
			t.Fatal(err)
		}
		meshtest.Pass(3 * time.Second)
		for i := range 5 {
			l.set(0, "k", i)
			meshtest.Pass(500 * time.Millisecond)
			l.has("k", int64(i), 2)
			l.set(2, "l", i)
			meshtest.Pass(500 * time.Millisecond)
			l.has("l", int64(i), 0)
		}
		if path := l.Meshes[0].Peers()[0].Path; path != mesh.PathRelay {
			t.Errorf("path %s", path)
		}
	})
}
