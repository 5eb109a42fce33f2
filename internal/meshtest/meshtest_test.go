package meshtest

import (
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

func TestLab_NeighboursSeeEachOther(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := New(t, seed, 3)
		var events []mesh.Event
		for i := range l.Hosts {
			m := l.Join(i, "lab", nil)
			if i == 1 {
				Collect(&events, m.Events(t.Context()))
			}
		}
		l.Line()
		Pass(time.Second)
		up := 0
		for _, ev := range events {
			if ev.Kind == mesh.EventPeerUp {
				up++
			}
		}
		if n := len(l.Meshes[1].Peers()); n != 2 || up != 2 {
			t.Errorf("the one in the middle has %d neighbours, and was told of %d", n, up)
		}
	})
}
