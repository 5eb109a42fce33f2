package bridge

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/internal/oldpeers"
	p2psync "github.com/p2p-today/go2p/sync"
)

// A speaker is an old node, real or of this library.
type speaker struct {
	opts  compat.Options
	addr  string
	say   func(text string)
	heard func(text string) int // how often
}

// P11: bridges in a ring, and beside each other, bring everything to everybody once, and
// when one of them ends the others go on.
func TestBridges_InCirclesRelayOnce(t *testing.T) {
	t.Parallel()
	for _, versions := range [][]string{{"0.7", "0.7", "0.7"}, {"0.4", "0.5", "0.6"}} {
		t.Run(fmt.Sprint(versions), func(t *testing.T) {
			t.Parallel()
			var olds []speaker
			for i, version := range versions {
				o := compat.Options{Kind: compat.Mesh, Version: version, Subnet: fmt.Sprint("network ", i)}
				n := oldMeshPeer(t, o)
				olds = append(olds, speaker{o, n.Addr(), func(text string) {
					if err := n.Send(t.Context(), text); err != nil {
						t.Error(err)
					}
				}, func(text string) int { return len(n.heard(text)) }})
			}
			inCircles(t, olds)
		})
	}
}

// The same with real old nodes.
func TestOldBridges_InCirclesRelayOnce(t *testing.T) {
	t.Parallel()
	var olds []speaker
	for i, who := range [][2]string{{"py", "0.7"}, {"js", "0.7"}, {"py", "0.4"}} {
		oldpeers.Needs(t, who[0], who[1])
		subnet := fmt.Sprint("network ", i)
		o := oldpeers.Start(t, who[0], who[1], map[string]any{"subnet": subnet})
		olds = append(olds, speaker{compat.Options{Kind: compat.Mesh, Version: who[1], Subnet: subnet}, o.Addr, func(text string) {
			o.Must("send", map[string]any{"packets": []any{text}})
		}, func(text string) int { _, n := o.Heard(text); return n }})
	}
	inCircles(t, olds)
}

func inCircles(t *testing.T, olds []speaker) {
	rounds := 70
	if os.Getenv("GO2P_LONG") == "1" {
		rounds = 1400
	}
	peers := natives(t, 5)
	var bridges []*Bridge
	for i := range 4 { // the last beside the first
		b := peers[i].bridge(t)
		for _, j := range []int{i % 3, (i + 1) % 3} {
			add(t, b, olds[j].opts, olds[j].addr)
		}
		bridges = append(bridges, b)
	}
	settled(t, bridges...)
	count := 0
	talk := func(name string, rounds int) {
		var texts []string
		said := func(text string) { // one after the other: a py node that speaks while it hears may close
			texts = append(texts, text)
			for j, o := range olds {
				if !strings.HasSuffix(text, fmt.Sprint("old ", j)) {
					eventually(t, fmt.Sprintf("%s at old %d", text, j), func() bool { return o.heard(text) > 0 })
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		for i := range rounds {
			for j, o := range olds {
				text := fmt.Sprint(name, " ", i, " of old ", j)
				o.say(text)
				said(text)
			}
			for _, j := range []int{1, 2, 4} {
				text := fmt.Sprint(name, " ", i, " of native ", j)
				if _, err := peers[j].mesh.Broadcast(t.Context(), text); err != nil {
					t.Fatal(err)
				}
				said(text)
			}
		}
		count += len(texts)
		for _, text := range texts {
			times := peers[0].stamps(text)
			for j, o := range olds {
				own := strings.HasSuffix(text, fmt.Sprint("old ", j))
				if got := o.heard(text); !own && (got == 0 || got > times) || own && got != 0 {
					t.Errorf("%s was heard %d times at old %d", text, got, j)
				}
			}
			for j, p := range peers {
				own := strings.HasSuffix(text, fmt.Sprint("native ", j))
				if !own {
					eventually(t, fmt.Sprintf("%s at native %d", text, j), func() bool { return len(p.got(text)) > 0 })
				}
				if got := len(p.got(text)); got != times && !own || own && got != 0 {
					t.Errorf("%s was heard %d times at native %d", text, got, j)
				}
			}
		}
	}
	talk("all", rounds)
	if err := bridges[0].Close(); err != nil {
		t.Fatal(err)
	}
	talk("without the first", rounds/5)
	time.Sleep(time.Second) // for what might come twice
	talk("again", 1)
	t.Logf("%d messages", count)
	logLinks(t, bridges...)
	for _, b := range bridges {
		for _, l := range b.Links() {
			if n := l.Dropped[compat.DropExpired]; n > 0 {
				t.Errorf("%s has heard %d messages a minute late", l.Name, n)
			}
		}
	}
}

// A slowDict is a native dictionary whose items nobody can look at for a while.
type slowDict struct {
	nativeDict
	sync.Mutex
}

func (d *slowDict) Item(key string) (p2psync.Item, error) {
	d.Lock()
	defer d.Unlock()
	return d.nativeDict.Item(key)
}

// A bridge that is so far behind that it cannot hear any more of a delete finds out.
func TestBridge_LaggingFindsDeletes(t *testing.T) {
	p := natives(t, 1)[0]
	old := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: "0.7"})
	opts := compat.Options{Kind: compat.Sync, Version: "0.7"}
	network, err := opts.Complete()
	if err != nil {
		t.Fatal(err)
	}
	dict := &slowDict{nativeDict: p.sync}
	l, err := openLink(t.Context(), t.Context(), linkConfig{
		opts: opts, network: newNetwork(network), addrs: []string{old.Addr()}, mesh: p.mesh, dict: dict, log: opts.Logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	set := func(from, to int) {
		for i := from; i < to; i++ {
			if err := p.sync.Set(t.Context(), fmt.Sprint("key ", i), "1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	set(0, 1)
	eventually(t, "the key", func() bool { return held(t, old, "key 0") == "1" })
	dict.Lock()
	set(1, maxNativeWork+1000) // more than it can note
	if err := p.sync.Delete(t.Context(), "key 0"); err != nil {
		t.Fatal(err)
	}
	set(1, 9000) // more than is remembered
	dict.Unlock()
	eventually(t, "the delete", func() bool { return held(t, old, "key 0") == nil })
	eventually(t, "all", func() bool { return len(old.Items()) == 8999 })
}

// Of two bridges one goes on with the leases that the other has mirrored.
func TestBridges_OneGoesOnWithLeasesOfAnother(t *testing.T) {
	t.Parallel()
	peers := natives(t, 3)
	old := oldSyncPeer(t, compat.Options{Kind: compat.Sync, Version: "0.7"})
	var bridges []*Bridge
	for i := range 2 {
		b := peers[i].bridge(t)
		add(t, b, compat.Options{Kind: compat.Sync, Version: "0.7"}, old.Addr())
		bridges = append(bridges, b)
	}
	settled(t, bridges...)
	ctx := t.Context()
	both := func(key, want string) {
		t.Helper()
		for _, p := range peers {
			eventually(t, key+" natively", func() bool { return p.heldAt(key) == want })
		}
		eventually(t, key+" at the old node", func() bool { return held(t, old, key) == want })
	}
	for i := range 20 {
		if err := peers[2].sync.Set(ctx, fmt.Sprint("native ", i), "1"); err != nil {
			t.Fatal(err)
		}
		if err := old.Set(ctx, fmt.Sprint("old ", i), "1"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		both(fmt.Sprint("native ", i), "1")
		both(fmt.Sprint("old ", i), "1")
	}
	if err := bridges[0].Close(); err != nil {
		t.Fatal(err)
	}
	nextSecond(t) // within one, the smaller ID wins
	for i := range 20 {
		native, key := fmt.Sprint("native ", i), fmt.Sprint("old ", i)
		if err := old.Set(ctx, native, "no"); !errors.Is(err, compat.ErrLeased) {
			t.Errorf("the old node writes %s: %v", native, err)
		}
		if err := peers[2].sync.Set(ctx, key, "no"); !isLease(err) {
			t.Errorf("a native peer writes %s: %v", key, err)
		}
		if err := peers[2].sync.Set(ctx, native, "2"); err != nil {
			t.Fatal(err)
		}
		if err := old.Set(ctx, key, "2"); err != nil {
			t.Fatal(err)
		}
		both(native, "2")
		both(key, "2")
	}
	if err := peers[2].sync.Delete(ctx, "native 3"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the delete", func() bool { return held(t, old, "native 3") == nil })
	for _, item := range old.Items() {
		if strings.HasPrefix(item.Key, "native ") != legacy.IsGhost(item.Owner) {
			t.Errorf("%s is of %s", item.Key, item.Owner)
		}
	}
}
