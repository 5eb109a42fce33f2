package sync

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
)

// A peer that relays the same as another does nothing, and what is relayed is unsigned,
// keeps its age and others from writing.
func TestRelay_TwoMembersRelayOnce(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := newSimNetwork(t, seed, 3)
		l.openAll(nil)
		l.Connect(0, 1)
		l.Connect(1, 2)
		meshtest.Pass(5 * time.Second)
		by := Relayed{Owner: LegacyPrefix + "sync/somebody", Time: time.Now().Add(-30 * time.Minute), Age: 30 * time.Minute}
		for _, i := range []int{0, 2} {
			if err := l.dicts[i].Relay(l.Ctx(), by, "k", "v"); err != nil {
				t.Fatal(err)
			}
			meshtest.Pass(5 * time.Second)
		}
		l.has("k", "v", 0, 1, 2)
		item, err := l.dicts[2].Item("k")
		if err != nil || item.Lease.Owner != by.Owner || item.Lease.Signed || item.Lease.For > 33*time.Minute || !item.Time.Equal(by.Time.Truncate(time.Millisecond)) {
			t.Errorf("%+v, %v", item, err)
		}
		if n := l.dicts[2].pipeline.replica.Next(l.dicts[2].pipeline.replica.Writer); n != 1 {
			t.Errorf("the second to relay it has written %d records", n-1)
		}
		var lease *LeaseError
		if err := l.dicts[1].Set(l.Ctx(), "k", "mine"); !errors.As(err, &lease) || lease.Owner != by.Owner {
			t.Errorf("a native write: %v", err)
		}
		if err := l.dicts[1].RelayDelete(l.Ctx(), Relayed{Owner: LegacyPrefix + "sync/another", Time: time.Now()}, "k"); !errors.As(err, &lease) {
			t.Errorf("another of the old network: %v", err)
		}
		if err := l.dicts[2].RelayDelete(l.Ctx(), by, "k"); err != nil {
			t.Error(err)
		}
		meshtest.Pass(5 * time.Second)
		l.lacks("k", 0, 1, 2)
		l.set(1, "mine", 1)
		meshtest.Pass(5 * time.Second)
		if err := l.dicts[0].Relay(l.Ctx(), by, "mine", 2); !errors.As(err, &lease) || lease.Owner != l.dicts[1].pipeline.replica.Self {
			t.Errorf("over a lease of a peer: %v", err)
		}
		for _, owner := range []string{"", l.dicts[0].pipeline.replica.Self, LegacyPrefix + strings.Repeat("x", 300)} {
			if err := l.dicts[0].Relay(l.Ctx(), Relayed{Owner: owner}, "x", 1); !errors.Is(err, errOwner) {
				t.Errorf("for %q: %v", owner, err)
			}
		}
	})
}
