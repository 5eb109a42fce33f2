package presence

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/internal/meshtest"
	"github.com/p2p-today/go2p/internal/testnet"
	"github.com/p2p-today/go2p/mesh"
)

func TestPresence_MembersKnowWhatOthersSay(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := meshtest.New(t, seed, 4)
		var ps []*Presence
		join := func(i int) {
			p, err := Join(l.Join(i, "lab", nil))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			ps = append(ps, p)
		}
		for i := range 3 {
			join(i)
			if i > 0 {
				l.Connect(i-1, i)
			}
		}
		meshtest.Pass(3 * time.Second)
		for _, status := range []string{"cooking", "eating"} {
			if err := ps[0].Set(l.Ctx(), status); err != nil {
				t.Fatal(err)
			}
		}
		meshtest.Pass(3 * time.Second)
		join(3)
		l.Connect(3, 0)
		meshtest.Pass(3 * time.Second)
		for i, p := range ps {
			if got := p.Of(l.Hosts[0].ID()); got != "eating" {
				t.Errorf("%d knows that 0 is %q", i, got)
			}
		}
	})
}

func TestPresence_ForgedClaimsBanTheirSender(t *testing.T) {
	testnet.Run(t, func(t *testing.T, seed uint64) {
		l := meshtest.New(t, seed, 2)
		p, err := Join(l.Join(0, "lab", nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		pass := func(peer.ID, []byte) mesh.Verdict { return mesh.Pass }
		topic, err := l.Join(1, "lab", nil).Service("forger").JoinTopic("presence", pass, func(peer.ID) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(topic.Close)
		l.Connect(1, 0)
		meshtest.Pass(3 * time.Second)
		for i := range 10 {
			forged := []byte(`{"Author":"` + l.Hosts[0].ID().String() + `","Version":` + string(rune('1'+i%9)) + `}`)
			if err := topic.Publish(l.Ctx(), append(forged, strings.Repeat(" ", i)...)); err != nil {
				t.Fatal(err)
			}
			meshtest.Pass(time.Second)
		}
		if peers := l.Meshes[0].Peers(); len(peers) != 0 {
			t.Errorf("the forger is a neighbour still, after %v", l.Meshes[0].Status().Errors)
		}
	})
}

// The page shows the code as it stands.
func TestPage_ShowsTheCode(t *testing.T) {
	page, err := os.ReadFile("../write-a-service.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("presence.go")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(page), "```go\n")[1:]
	if len(parts) == 0 {
		t.Fatal("the page has no code")
	}
	for _, part := range parts {
		block, _, _ := strings.Cut(part, "```")
		if !strings.Contains(string(code), block) {
			t.Errorf("presence.go does not have this:\n%s", block)
		}
	}
}
