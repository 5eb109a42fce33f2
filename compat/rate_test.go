package compat

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// How many broadcasts a second a py node hears of this one, beside what it hears of another
// py node: a figure, and nothing is lost.
func TestOldRate(t *testing.T) {
	count, most := 500, 50
	if os.Getenv("GO2P_LONG") == "1" {
		count, most = 10_000, 500
	}
	for _, version := range []string{"0.4", "0.5", "0.6", "0.7"} {
		t.Run(version, func(t *testing.T) {
			if !has(t, "py", version) {
				t.Skip("not installed")
			}
			host := ownHost()
			freePort(t, host)
			n := open(t, Options{Kind: Mesh, Version: version, Listen: host + ":0"})
			hearer := startOld(t, "py", version, map[string]any{"quiet": true})
			speaker := startOld(t, "py", version, nil)
			connectPair2(t, n, hearer)
			stats := func(want, wait int) (count int, latest float64) {
				m := hearer.must("stats", map[string]any{"count": want, "wait": wait, "timeout": wait + 5})
				latest, _ = m["latest"].(float64)
				return int(m["count"].(float64)), latest
			}
			begin := float64(time.Now().UnixNano()) / 1e9
			for i := range count {
				if err := n.Send(t.Context(), fmt.Sprint("message ", i)); err != nil {
					t.Fatal(err)
				}
			}
			heard, latest := stats(count, most)
			if heard != count {
				t.Fatalf("%d of %d broadcasts are heard; %v", heard, count, hearer.must("status", nil)["status"])
			}
			ours := float64(count) / (latest - begin)
			if len(n.Peers()) != 1 {
				t.Error("the link is lost")
			}
			n.Close()
			speaker.connect(hearer.addr)
			eventually(t, "py hears py", func() bool { return len(hearer.peers()) == 1 })
			const burst = 50 // more than that py loses
			sent, lost, spent := 0, 0, 0.0
			for i := 0; i < count; i += burst {
				begun := speaker.must("burst", map[string]any{"count": burst, "packets": []any{fmt.Sprint(i)}})["begin"].(float64)
				heard, latest := stats(burst, 2)
				if heard < burst {
					lost++
					if len(hearer.peers()) == 0 {
						break
					}
					continue
				}
				sent, spent = sent+burst, spent+latest-begun
			}
			theirs := float64(sent) / spent
			t.Logf("py %s hears %.0f broadcasts/s of go, %.0f of py (%d bursts of %d lost some): %.2f ×", version, ours, theirs, lost, count/burst, ours/theirs)
		})
	}
}

// How many broadcasts a second a bridge carries from one py node to another, beside what two
// such nodes exchange directly: a figure, and the bridge's links are never lost.
func TestOldBridgeRate(t *testing.T) {
	if !has(t, "py", "0.7") {
		t.Skip("not installed")
	}
	length := 5 * time.Second
	if os.Getenv("GO2P_LONG") == "1" {
		length = time.Minute
	}
	quiet := func(subnet string) *old {
		return startOld(t, "py", "0.7", map[string]any{"quiet": true, "subnet": subnet})
	}
	const burst = 20
	exchange := func(speaker, hearer *old) (rate float64, lost int) {
		heard := 0
		start := time.Now()
		for i := 0; time.Since(start) < length; i++ {
			before := hearer.must("stats", nil)["count"].(float64)
			speaker.must("burst", map[string]any{"count": burst, "packets": []any{fmt.Sprint(i)}})
			after := hearer.must("stats", map[string]any{"count": before + burst, "wait": 2})["count"].(float64)
			if after-before < burst {
				if lost++; len(hearer.peers()) == 0 {
					break // which is how it goes with them
				}
			}
			heard += int(after - before)
		}
		return float64(heard) / time.Since(start).Seconds(), lost
	}
	speaker, hearer := quiet("one"), quiet("two")
	peers := natives(t, 1)
	b := peers[0].bridge(t)
	add(t, b, Options{Kind: Mesh, Version: "0.7", Subnet: "one"}, speaker.addr)
	add(t, b, Options{Kind: Mesh, Version: "0.7", Subnet: "two"}, hearer.addr)
	settled(t, b)
	since := map[string]time.Time{}
	for _, l := range b.Links() {
		since[l.Name] = l.Peers[0].Since
	}
	carried, lost := exchange(speaker, hearer)
	for _, l := range b.Links() {
		if len(l.Peers) != 1 || !l.Peers[0].Since.Equal(since[l.Name]) {
			t.Errorf("the link %s was lost", l.Name)
		}
		t.Logf("%s: in %d, out %d, dropped %v", l.Name, l.In, l.Out, l.Dropped)
	}
	if lost > 0 {
		t.Errorf("%d bursts were lost in part", lost)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	first, second := quiet("direct"), quiet("direct")
	first.connect(second.addr)
	eventually(t, "py hears py", func() bool { return len(second.peers()) == 1 })
	direct, lost := exchange(first, second)
	t.Logf("%.0f broadcasts/s over the bridge, %.0f directly (of which %d bursts of %d were lost in part): %.2f ×", carried, direct, lost, burst, carried/direct)
}
