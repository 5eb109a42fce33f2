package legacy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// Each version accepts and refuses stores as its py nodes do.
func TestLease_RuleIsThatOfEachVersion(t *testing.T) {
	var file struct {
		Now  int64
		Rows []struct {
			Leasing  bool
			Existing *struct {
				Owner string
				Time  int64
			}
			Incoming struct {
				Owner, Data, Via string
				Time             int64
			}
			Outcome map[string]string
		}
	}
	load(t, "sync-lease.json", &file)
	rows := 0
	for i, r := range file.Rows {
		for _, v := range wire.Versions {
			want := ""
			for who, what := range r.Outcome {
				if slices.Contains(strings.Fields(who), "py"+v.String()) {
					want, _, _ = strings.Cut(what, ";")
				}
			}
			if want == "" {
				continue
			}
			rows++
			c := newRig(t, v.String(), Sync)
			d := c.dict
			d.leasing = r.Leasing
			s := c.meet(t, "2peer", wire.Python)
			store := func(owner, via string, value any, at int64) {
				m := wire.New(v, wire.Broadcast, wire.Store, []byte("key"), value)
				if m.Sender = owner; via == "snapshot" {
					var when any = []byte(wire.TimeText(at))
					if v == wire.V7 {
						when = at
					}
					m = wire.New(v, wire.Whisper, wire.Store, []byte("key"), value, []byte(owner), when)
					m.Sender = "2peer"
				}
				m.Time, m.SenderBin = at, v.Typed()
				if via == "snapshot" {
					m.Time = file.Now
				}
				d.handle(time.Unix(file.Now, 0), s, m)
			}
			if r.Existing != nil {
				d.apply("key", Entry{Value: []byte("old"), Owner: r.Existing.Owner, Time: r.Existing.Time})
			}
			var value any = []byte("new")
			switch r.Incoming.Data {
			case "empty":
				value = []byte{}
			case "nil":
				value = nil
			}
			store(r.Incoming.Owner, r.Incoming.Via, value, r.Incoming.Time)
			e, held := d.entries["key"]
			got := "stored"
			text, _ := wire.Text(e.Value)
			switch {
			case !held:
				got = "absent"
			case text == "old":
				got = "kept old"
			case e.Value == nil:
				got = "stored nil"
			case text == "":
				got = "stored empty"
			}
			if want == "raises KeyError" {
				want = "absent" // of a key that is not there, and this node stays connected
			}
			if got != want {
				t.Errorf("row %d, %s: %+v on %+v is %s, want %s", i, v, r.Incoming, r.Existing, got, want)
			}
		}
	}
	if rows < 500 {
		t.Errorf("%d rows only", rows)
	}
}

// Old nodes take a write of another than the owner only if it does not depend on a second.
func TestLease_AcceptsLaterWhateverTheSecond(t *testing.T) {
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
