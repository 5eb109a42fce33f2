package schedule

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// A transcript plays a story to a schedule, and tells what it does. The commands are
// those of the switch below; each takes its time, and the schedule is advanced at each of
// its deadlines until then. Run the test with -rewrite to write what is told anew, and
// read the difference.
type transcript struct {
	s     *Schedule
	start time.Time
	now   time.Time
	told  strings.Builder
}

func TestSchedule_Transcripts(t *testing.T) {
	datadriven.Walk(t, "testdata/schedule", func(t *testing.T, path string) {
		start := time.Unix(0, 0)
		tr := &transcript{s: New(start, rand.New(rand.NewPCG(1, 2))), start: start, now: start}
		datadriven.RunTest(t, path, tr.play)
	})
}

func (tr *transcript) tell(format string, args ...any) {
	at := fmt.Sprintf("%gs", tr.now.Sub(tr.start).Round(time.Millisecond).Seconds())
	fmt.Fprintf(&tr.told, "%-8s"+format+"\n", append([]any{at}, args...)...)
}

// advance lets time pass until a moment, or until before it.
func (tr *transcript) advance(until time.Time, including bool) {
	for {
		next := tr.s.Deadline(tr.now)
		if next.Before(tr.now) {
			next = tr.now
		}
		if next.After(until) || !including && !next.Before(until) {
			break
		}
		tr.now = next
		begun := tr.s.Advance(tr.now).Begin
		for _, peer := range begun {
			tr.tell("begins a session with %s", peer)
		}
		if len(begun) == 0 && !tr.s.Deadline(tr.now).After(tr.now) {
			tr.tell("has a deadline that does not pass")
			break
		}
	}
	tr.now = until
}

func (tr *transcript) play(t *testing.T, d *datadriven.TestData) string {
	tr.told.Reset()
	var peer, at, how, why string
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "at", "until":
			at = arg.Vals[0]
		case "why":
			why = arg.Vals[0]
		case "in-sync", "busy", "failed", "refused":
			how = arg.Key
		default:
			peer = arg.Key
		}
	}
	if at != "" {
		passed, err := time.ParseDuration(at)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		tr.advance(tr.start.Add(passed), false)
	}
	var err error
	if why != "" {
		err = errors.New(why)
	}
	switch d.Cmd {
	case "join":
		tr.s.Join(tr.now, peer)
	case "leave":
		tr.s.Leave(peer)
	case "done":
		outcomes := map[string]Outcome{"in-sync": InSync, "busy": Busy, "failed": Failed, "refused": Refused}
		tr.s.Done(tr.now, peer, outcomes[how], err)
		if how == "failed" {
			tr.tell("pauses for %v", tr.s.peers[peer].due.Sub(tr.now).Round(time.Second/10))
		}
	case "received":
		tr.s.Received(tr.now)
	case "changed":
		tr.tell("the deadline is sooner: %v", tr.s.Changed(tr.now))
	case "news":
		tr.s.News(tr.now, peer)
	case "gap":
		tr.s.Gap(tr.now, peer)
	case "relayed":
		tr.s.SetRelayed(func(p string) bool { return p == peer })
	case "found":
		tr.s.Found(tr.now, peer, err)
	case "run":
	case "state":
		tr.state()
	default:
		d.Fatalf(t, "no such command")
	}
	tr.advance(tr.now, true)
	return tr.told.String()
}

func (tr *transcript) state() {
	tr.tell("in sync: %v, busy: %v, all refuse: %v", tr.s.InSync(), tr.s.Busy(tr.now), tr.s.Refusal())
	for _, n := range slices.SortedFunc(tr.s.Neighbours(), func(a, b Neighbour) int { return strings.Compare(a.Peer, b.Peer) }) {
		last := "never in sync"
		if !n.InSync.IsZero() {
			last = fmt.Sprintf("in sync at %gs", n.InSync.Sub(tr.start).Seconds())
		}
		tr.tell("%s: %s, session: %v, refused: %v", n.Peer, last, n.Running, n.Refused)
	}
}
