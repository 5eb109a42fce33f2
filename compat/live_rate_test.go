package compat

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/p2p-today/go2p/internal/oldpeers"
)

// How many broadcasts a second a py node hears of this one, beside what it hears of another
// py node: a figure, and nothing is lost.
func TestOldRate_BroadcastsASecond(t *testing.T) {
	count, most := 500, 50
	if os.Getenv("GO2P_LONG") == "1" {
		count, most = 10_000, 500
	}
	for _, version := range []string{"0.4", "0.5", "0.6", "0.7"} {
		t.Run(version, func(t *testing.T) {
			oldpeers.Needs(t, "py", version)
			host := oldpeers.OwnHost()
			oldpeers.FreePort(t, host)
			n := open(t, Options{Kind: Mesh, Version: version, Listen: host + ":0"})
			hearer := oldpeers.Start(t, "py", version, map[string]any{"quiet": true})
			speaker := oldpeers.Start(t, "py", version, nil)
			connectPair2(t, n, hearer)
			stats := func(want, wait int) (count int, latest float64) {
				m := hearer.Must("stats", map[string]any{"count": want, "wait": wait, "timeout": wait + 5})
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
				t.Fatalf("%d of %d broadcasts are heard; %v", heard, count, hearer.Must("status", nil)["status"])
			}
			ours := float64(count) / (latest - begin)
			if len(n.Peers()) != 1 {
				t.Error("the link is lost")
			}
			n.Close()
			speaker.Connect(hearer.Addr)
			eventually(t, "py hears py", func() bool { return len(hearer.Peers()) == 1 })
			const burst = 50 // more than that py loses
			sent, lost, spent := 0, 0, 0.0
			for i := 0; i < count; i += burst {
				begun := speaker.Must("burst", map[string]any{"count": burst, "packets": []any{fmt.Sprint(i)}})["begin"].(float64)
				heard, latest := stats(burst, 2)
				if heard < burst {
					lost++
					if len(hearer.Peers()) == 0 {
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
