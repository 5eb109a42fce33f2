package legacy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

func TestGhostID_IsNoIDOfANode(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		for _, subnet := range []string{"a", "b"} {
			id := GhostID(fmt.Sprint("author ", i), subnet)
			if !IsGhost(id) || seen[id] || id != GhostID(fmt.Sprint("author ", i), subnet) {
				t.Fatalf("%s is marked %v, seen %v", id, IsGhost(id), seen[id])
			}
			seen[id] = true
			if _, err := wire.ParseBase58(id); err != nil {
				t.Fatal(err)
			}
			if IsGhost(wire.NodeID("127.0.0.1", i, subnet, "salt")) {
				t.Fatal("a node has a derived ID by itself")
			}
		}
	}
	for _, id := range []string{"", Mark, strings.Repeat("g", idLength), Mark + "x"} {
		if IsGhost(id) {
			t.Errorf("%q is marked", id)
		}
	}
	for origin, want := range map[string][3]string{
		"legacy:mesh/id": {"mesh", "id", "true"}, "legacy:a/b/id": {"a/b", "id", "true"}, "legacy:/id": {"", "id", "true"},
		"legacy:id": {"", "", "false"}, "12D3Koo": {"", "", "false"},
	} {
		subnet, id, ok := SplitOrigin(origin)
		if got := [3]string{subnet, id, fmt.Sprint(ok)}; got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
}
