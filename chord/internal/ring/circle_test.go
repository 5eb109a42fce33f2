package ring

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// vectors are what the original did, driven without a network.
func vectors(t *testing.T, into any) {
	t.Helper()
	data, err := os.ReadFile("testdata/chord-0.4.json")
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var methods = []string{"sha1", "sha224", "sha256", "sha384", "sha512"}

func TestCircle_PositionsOfOriginal(t *testing.T) {
	var v struct {
		KeyPositions []struct {
			Key, Method string
			Repeat      []any `json:"key_repeat"` // a byte, and how often
			Position    map[string]Slot
		} `json:"key_positions"`
	}
	vectors(t, &v)
	if len(v.KeyPositions) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range v.KeyPositions {
		key, err := hex.DecodeString(c.Key)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Repeat) == 2 {
			one, _ := hex.DecodeString(c.Repeat[0].(string))
			key = bytes.Repeat(one, int(c.Repeat[1].(float64)))
		}
		for text, want := range c.Position {
			k, _ := strconv.Atoi(text)
			if got := Circle(k).Positions(string(key))[slices.Index(methods, c.Method)]; got != want {
				t.Errorf("%s of %q modulo 2^%d is %d, not %d", c.Method, key, k, got, want)
			}
		}
	}
}

// Whatever the ring, fingers that have met everybody find the owner of any position in at
// most k hops, each of which comes nearer.
func TestFingers_LookupTakesAtMostKHops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := Circle(rapid.IntRange(1, 12).Draw(t, "k"))
		slots := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Slot {
			return Slot(rapid.Uint64Range(0, 1<<k-1).Draw(t, "slot"))
		}), 1, min(1<<k, 60), rapid.ID[Slot]).Draw(t, "slots")
		ring := map[Slot]*fingers{}
		for _, s := range slots {
			ring[s] = newFingers(k, Node{s, fmt.Sprint(s)})
			for _, o := range slots {
				ring[s].meet(Node{o, fmt.Sprint(o)})
			}
		}
		position := Slot(rapid.Uint64Range(0, 1<<k-1).Draw(t, "position"))
		owner := slots[0]
		for _, s := range slots {
			if k.Distance(s, position) < k.Distance(owner, position) {
				owner = s
			}
		}
		at, hops := rapid.SampledFrom(slots).Draw(t, "start"), 0
		for {
			next := k.nearest(ring[at].self, position, ring[at].table)
			if next.Slot == at {
				break
			}
			if k.Distance(next.Slot, position) >= k.Distance(at, position) {
				t.Fatalf("from %d to %d is no nearer to %d", at, next.Slot, position)
			}
			at = next.Slot
			hops++
		}
		if at != owner || hops > int(k) {
			t.Fatalf("%d hops to %d, the owner of %d is %d", hops, at, position, owner)
		}
	})
}

// A peer asks for every slot once.
func TestCircle_ProbeMeetsEverySlotOnce(t *testing.T) {
	for k := Circle(1); k <= 10; k++ {
		seen := map[Slot]bool{}
		for s := range k.Probe("12D3KooW") {
			if seen[s] || s >= 1<<k {
				t.Fatalf("k %d: %d again, or not on the circle", k, s)
			}
			seen[s] = true
		}
		if len(seen) != 1<<k {
			t.Errorf("k %d: %d slots", k, len(seen))
		}
	}
}

// With five nodes or more a key has five homes, with fewer all, in whatever order the
// nodes joined.
func TestReplicas_AreFiveOrAllNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := Circle(rapid.IntRange(3, 16).Draw(t, "k"))
		slots := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Slot {
			return Slot(rapid.Uint64Range(0, 1<<k-1).Draw(t, "slot"))
		}), 1, 8, rapid.ID[Slot]).Draw(t, "slots")
		slices.Sort(slots)
		var answers [Copies]answer
		for i, p := range k.Positions(rapid.String().Draw(t, "key")) {
			owner := 0
			for j, s := range slots {
				if k.Distance(s, p) < k.Distance(slots[owner], p) {
					owner = j
				}
			}
			for j := range min(Copies, len(slots)) {
				s := slots[(owner+j)%len(slots)]
				answers[i] = append(answers[i], Node{s, fmt.Sprint(s)})
			}
		}
		got := replicas(answers)
		if len(got) != min(Copies, len(slots)) {
			t.Fatalf("%d homes among %d nodes", len(got), len(slots))
		}
		for i, n := range got {
			if slices.ContainsFunc(got[:i], func(o Replica) bool { return o.Peer == n.Peer }) {
				t.Fatalf("%v twice", n)
			}
		}
	})
}
