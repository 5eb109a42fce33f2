package ring

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestRing_Transcripts plays the scripts in testdata/ring and compares what the nodes do, and
// whom each lists after each step, with what is written there. With -rewrite the scripts are
// written anew.
//
// The commands are:
//
//	circle k=K                            begins anew
//	found NODE slot=S                     a node founds a ring
//	join NODE slot=(S, …) knows=NODE      a node that knows another asks for a slot
//	crash NODE                            it does not answer any more
//	leave NODE                            it departs
//	part NODE…                            these and the others do not reach each other
//	heal                                  all reach all
//	greet NODE to=NODE                    as neighbours in the mesh do
//	run TIME                              lets time pass
//
// A step takes a second, so that what follows from it is done, and run takes its time.
func TestRing_Transcripts(t *testing.T) {
	datadriven.Walk(t, "testdata/ring", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, s.play)
	})
}

// A script is a world whose nodes have names and tell what they do.
type script struct {
	w     *world
	out   strings.Builder
	began time.Time // the step
}

func (s *script) play(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	if d.Cmd == "circle" {
		var k int
		d.ScanArgs(t, "k", &k)
		s.w = newWorld(t, 1, Circle(k))
		s.w.check, s.w.trace = s.w.ordered, s.tell
		return "ok"
	}
	s.w.t, s.began = t, s.w.now
	pass := time.Second
	name := func(i int) string { return d.CmdArgs[i].Key }
	switch d.Cmd {
	case "found", "join":
		s.enter(t, d, name(0))
	case "crash":
		s.node(name(0)).alive = false
	case "leave":
		s.node(name(0)).farewell()
	case "part":
		for i := range d.CmdArgs {
			s.node(name(i)).side = 1
		}
	case "heal":
		for _, n := range s.w.nodes {
			n.side = 0
		}
	case "greet":
		var to string
		d.ScanArgs(t, "to", &to)
		s.node(name(0)).greet(s.node(to).Ring.self)
	case "run":
		var err error
		if pass, err = time.ParseDuration(name(0)); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("no command %q", d.Cmd)
	}
	s.w.run(pass)
	s.lists()
	return s.out.String()
}

func (s *script) enter(t *testing.T, d *datadriven.TestData, name string) {
	n := &simNode{Ring: New(s.w.k, name), w: s.w, alive: true}
	s.w.nodes = append(s.w.nodes, n)
	for _, arg := range d.CmdArgs {
		for i := range arg.Vals {
			if arg.Key == "slot" {
				var slot uint64
				arg.Scan(t, i, &slot)
				n.slots = append(n.slots, Slot(slot))
			}
		}
	}
	if d.Cmd == "found" {
		n.perform(n.Found(s.w.now, n.slots[0], uint64(len(s.w.nodes))))
	} else {
		var knows string
		d.ScanArgs(t, "knows", &knows)
		n.side = s.node(knows).side
		n.cache.learn(s.node(knows).Ring.self)
		n.join()
	}
	n.begin()
}

func (s *script) node(name string) *simNode { return s.w.node(name) }

// tell writes what happens, the same only once a step.
func (s *script) tell(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if !strings.Contains(s.out.String(), what+"\n") {
		fmt.Fprintf(&s.out, "%4dms  %s\n", s.w.now.Sub(s.began).Milliseconds(), what)
	}
}

// lists writes whom each node lists that is there.
func (s *script) lists() {
	for _, n := range s.w.nodes {
		switch {
		case !n.alive:
		case !n.stores:
			fmt.Fprintf(&s.out, "%s      has no slot\n", n.Ring.self.Peer)
		default:
			fmt.Fprintf(&s.out, "%-5s before it %-22s after it %s\n", short(n.Ring.self), all(n.preds), all(n.succs))
		}
	}
	if why := s.w.ideal(); why != "" {
		s.out.WriteString("not all lists are as they should be\n")
	}
}

func short(n Node) string { return fmt.Sprintf("%s@%d", n.Peer, n.Slot) }

func all(nodes []Node) string {
	if len(nodes) == 0 {
		return "-"
	}
	var names []string
	for _, n := range nodes {
		names = append(names, short(n))
	}
	return strings.Join(names, " ")
}
