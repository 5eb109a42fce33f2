package replica

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// A transcript plays a story to replicas a, b, c …, and tells each message of their
// reconciliations and what it changes:
//
//	set a k=v l=w       a writes keys under one signature, and nobody hears of it
//	set a to=(b,c) k=v  b and c receive it
//	delete a k          likewise
//	fill a keys=100     a writes so many keys
//	reconcile a b       a asks b
//	show                the living records of all
//
// Run the test with -rewrite to write what is told anew, and read the difference.
type transcript struct {
	now      Instant
	replicas map[string]*Replica
	told     strings.Builder
}

func TestReconciliation_Transcripts(t *testing.T) {
	datadriven.Walk(t, "testdata/reconcile", func(t *testing.T, path string) {
		tr := &transcript{now: Instant{Count: time.Minute, Wall: time.UnixMilli(0)}, replicas: map[string]*Replica{}}
		datadriven.RunTest(t, path, tr.play)
	})
}

func (tr *transcript) replica(name string) *Replica {
	if tr.replicas[name] == nil {
		tr.replicas[name] = testReplica(name)
	}
	return tr.replicas[name]
}

func (tr *transcript) tell(format string, args ...any) { fmt.Fprintf(&tr.told, format+"\n", args...) }

func (tr *transcript) play(t *testing.T, d *datadriven.TestData) string {
	tr.told.Reset()
	switch d.Cmd {
	case "set", "delete":
		order := []*Replica{tr.replica(d.CmdArgs[0].Key)}
		var ops []Op
		for _, arg := range d.CmdArgs[1:] {
			switch {
			case arg.Key == "to":
				for _, name := range arg.Vals {
					order = append(order, tr.replica(name))
				}
			case d.Cmd == "delete":
				ops = append(ops, Op{Key: arg.Key, Delete: true})
			default:
				ops = append(ops, Op{Key: arg.Key, Value: arg.Vals[0]})
			}
		}
		set(t, tr.now, ops, order...)
	case "fill":
		var n int
		d.ScanArgs(t, "keys", &n)
		populate(t, tr.now, n, tr.replica(d.CmdArgs[0].Key))
	case "reconcile":
		tr.reconcile(t, d.CmdArgs[0].Key, d.CmdArgs[1].Key)
	case "show":
		for _, name := range slices.Sorted(maps.Keys(tr.replicas)) {
			var held []string
			for e := range tr.replicas[name].All("") {
				held = append(held, fmt.Sprintf("%s=%s of %s", e.Key, e.Value, e.Owner))
			}
			tr.tell("%s: %s", name, strings.Join(held, ", "))
		}
	default:
		d.Fatalf(t, "no such command")
	}
	return tr.told.String()
}

// reconcile lets a replica ask another, over the wire.
func (tr *transcript) reconcile(t *testing.T, from, to string) {
	names := [2]string{from, to}
	sides := [2]*Reconciliation{NewReconciliation(tr.replica(from)), NewReconciliation(tr.replica(to))}
	first := sides[0].Start([]byte("saltsalt"))
	frames := [][]byte{first.Append(nil)}
	for at := 1; len(frames) > 0; at = 1 - at {
		var next Step
		for _, f := range frames {
			m, err := ParseMessage(f, tr.now.Count)
			if err != nil {
				t.Fatal(err)
			}
			tr.tell("%s → %s  %s", names[1-at], names[at], describe(m))
			if next, err = sides[at].Receive(tr.now, m); err != nil {
				t.Fatal(err)
			}
			tr.effects(names[at], next)
		}
		frames = nil
		for len(next.Records) > 0 {
			var body []byte
			if body, next.Records = AppendChunk(next.Records, tr.now.Count); body != nil {
				frames = append(frames, body)
			}
		}
		if next.Reply != nil {
			frames = append(frames, next.Reply.Append(nil))
		}
	}
}

// describe tells what is in a message.
func describe(m Message) string {
	switch {
	case m.Root != nil:
		return "root"
	case m.Equal:
		return "equal"
	case m.Proofs != nil:
		var keys []string
		for _, b := range m.Proofs {
			for _, e := range b.Records() {
				if e != nil {
					keys = append(keys, e.Key)
				}
			}
		}
		if n := len(keys); n > 5 {
			return fmt.Sprintf("%d records", n)
		}
		return "records: " + strings.Join(keys, " ")
	}
	var said []string
	if m.Seen != nil {
		said = append(said, "seen set")
	}
	counts := map[uint64]int{}
	listed, dead := 0, 0
	for _, a := range m.Ranges {
		counts[a.Kind]++
		listed += len(a.Data) / shortLength
		dead += len(a.Dead)
	}
	if n := counts[RangeSum]; n > 0 {
		said = append(said, fmt.Sprintf("%d fingerprints", n))
	}
	if n := counts[RangeList]; n > 0 {
		said = append(said, fmt.Sprintf("%d lists of %d records", n, listed))
	}
	if n := counts[RangeDead]; n > 0 {
		said = append(said, fmt.Sprintf("%d lists answered, %d dead", n, dead))
	}
	if len(said) == 0 {
		return "nothing more"
	}
	return strings.Join(said, ", ")
}

func (tr *transcript) effects(name string, next Step) {
	if n := len(next.Changes); n > 5 {
		tr.tell("       %s: %d changes", name, n)
	} else {
		for _, c := range next.Changes {
			switch {
			case c.New == nil:
				tr.tell("       %s: prunes %s=%s", name, c.Key, c.Old.Value)
			case c.Old == nil:
				tr.tell("       %s: accepts %s=%s", name, c.Key, c.New.Value)
			default:
				tr.tell("       %s: accepts %s=%s instead of %s", name, c.Key, c.New.Value, c.Old.Value)
			}
		}
	}
	if next.Done {
		tr.tell("       %s: is in sync", name)
	}
}
