package legacy

import (
	"strings"
	"testing"
	"time"
)

// Old nodes take a write of another than the owner only if it does not depend on a second.
func TestSurely(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	held := Entry{Value: []byte("x"), Owner: "m", Time: 999_990}
	for name, c := range map[string]struct {
		versions string
		free     bool // no leases
		e        Entry
		want     bool
	}{
		"the owner":                              {"0.4 0.5 0.6 0.7", false, Entry{Owner: "m", Time: 999_980}, true},
		"another":                                {"0.4 0.5 0.6 0.7", false, Entry{Owner: "a", Time: 999_991}, false},
		"another of the same time":               {"0.4 0.5 0.6 0.7", false, Entry{Owner: "a", Time: 999_990}, false},
		"another that is older":                  {"0.4 0.5 0.6 0.7", false, Entry{Owner: "a", Time: 999_989}, false},
		"another, without leases":                {"0.4 0.5 0.6 0.7", true, Entry{Owner: "z", Time: 999_991}, true},
		"another of the same time, without them": {"0.4", true, Entry{Owner: "z", Time: 999_990}, true},
		"an older one, without leases":           {"0.5 0.6 0.7", true, Entry{Owner: "a", Time: 999_989}, false},
	} {
		for _, version := range strings.Fields(c.versions) {
			d := newRig(t, version, Sync).dict
			d.leasing = !c.free
			if !d.acceptsLater(now, "key", c.e) {
				t.Errorf("%s: %s: it is not taken where nothing is", name, version)
			}
			d.apply("key", held)
			if got := d.acceptsLater(now, "key", c.e); got != c.want {
				t.Errorf("%s: %s: %v", name, version, got)
			}
			if !d.acceptsLater(now.Add(2*Lease), "key", c.e) {
				t.Errorf("%s: %s: it is not taken when the lease is over", name, version)
			}
		}
	}
}
