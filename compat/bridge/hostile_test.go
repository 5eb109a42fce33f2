package bridge

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
)

// P9 and P10: whatever an old network sends over a bridge, what native peers hold stays
// theirs, memory is bounded, and others go on.
func TestBridge_HostileOldNetworkTakesNothing(t *testing.T) {
	peers := natives(t, 2)
	b := peers[0].bridge(t)
	bad := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: "0.7", Subnet: "bad"})
	good := oldMeshPeer(t, compat.Options{Kind: compat.Mesh, Version: "0.7", Subnet: "good"})
	home := add(t, b, compat.Options{Kind: compat.Sync, Version: "0.7", Subnet: "bad"}, bad.Addr())
	add(t, b, compat.Options{Kind: compat.Mesh, Version: "0.7", Subnet: "good"}, good.Addr())
	settled(t, b)
	ctx := t.Context()
	if err := peers[1].sync.Set(ctx, "native", "mine"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is mirrored", func() bool { return held(t, bad, "native") == "mine" })
	if err := bad.Close(); err != nil {
		t.Fatal(err)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	say := hostilePeer(t, home.Addr, b.links.all()[1].network)
	native := legacy.GhostID(peers[1].mesh.ID().String(), b.links.all()[1].network.id)
	for i := range 300 {
		who := fmt.Sprint("nobody ", i)
		say(who, wire.Broadcast, "spam")
		say(strings.Repeat("x", 300+i), wire.Broadcast, "too long a name")
		say(strings.Repeat("y", 300+i), wire.Store, []byte(fmt.Sprint("long ", i)), "too long an owner")
		say(who, wire.Store, []byte("native"), "stolen")
		say(who, wire.Store, []byte("native"), nil)
		say(who, wire.Store, []byte(fmt.Sprint("key ", i)), who)
		say(who, wire.Delta, []byte("native"), wire.Map{{Key: "a", Value: int64(1)}})
		say(who, wire.Ping, legacy.Mark, b.mesh.Tag(), "0")
		say(who, wire.Ping, legacy.Mark, b.mesh.Tag(), fmt.Sprint("1 ", i))
		say(native, wire.Broadcast, "as if from here")
	}
	for range 20 {
		say("nobody", wire.Broadcast, make([]byte, 2<<20)) // more than a native message has
		say("nobody", wire.Store, []byte("large"), make([]byte, 2<<20))
		say("nobody", wire.Store, make([]byte, 4<<10), "a long key")
	}
	if err := good.Send(ctx, "honest"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the honest one is heard", func() bool { return len(peers[1].got("honest")) == 1 })
	if _, err := peers[1].mesh.Broadcast(ctx, "native"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and hears", func() bool { return len(good.heard("native")) == 1 })
	eventually(t, "all is looked at", func() bool { return peers[1].heldAt("key 299") == "nobody 299" })
	if item, err := peers[1].sync.Item("native"); err != nil || item.Value != "mine" || !item.Lease.Signed || item.Lease.Owner != peers[1].mesh.ID().String() {
		t.Errorf("the native key is %+v, %v", item, err)
	}
	if n := len(peers[1].got("as if from here")); n != 0 {
		t.Errorf("what bears the mark has crossed %d times", n)
	}
	for _, m := range peers[1].got("spam") {
		if m.Origin == "" {
			t.Errorf("spam of an old network seems to be signed: %+v", m)
		}
	}
	dropped := b.Links()[1].Dropped
	if dropped[DropOldOnes] == 0 || dropped[DropConflict] == 0 {
		t.Errorf("dropped %v", dropped)
	}
	if now := heap(); now > before+64<<20 {
		t.Errorf("the heap has grown from %d to %d MiB", before>>20, now>>20)
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() < goroutines+20*maxGhosts })
	t.Logf("dropped %v", dropped)
}

// hostilePeer connects to a node, and returns what broadcasts to it under any ID.
func hostilePeer(t *testing.T, addr string, n network) (say func(sender string, sub wire.Flag, args ...any)) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go io.Copy(io.Discard, c)
	write := func(m *wire.Message) {
		t.Helper()
		m.Time, m.Tail = time.Now().Unix(), []byte(rand.Text())
		body, err := wire.Encode(m)
		if err == nil {
			_, err = c.Write(wire.AppendFrame(nil, body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const id = "3hostile"
	g := wire.Greeting{ID: id, SubnetID: n.id, Addr: wire.Addr{Host: "127.0.0.1", Port: 1}}
	hello := wire.New(n.version, wire.Whisper, wire.Handshake, n.version.GreetingArgs(g)...)
	hello.Sender = id
	write(hello)
	return func(sender string, sub wire.Flag, args ...any) {
		t.Helper()
		m := wire.New(n.version, wire.Broadcast, sub, args...)
		m.Sender = sender
		write(m)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
