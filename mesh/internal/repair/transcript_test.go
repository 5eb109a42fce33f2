package repair

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// A story is a few cores that send to each other, and what they do is written down. Its
// commands are
//
//	peers N                                 peers a, b, … that are all neighbours
//	broadcast from=a numbers=1-2 to=(b,c)   the batch arrives there alone; size=5000 for one that is not gossiped
//	cut a b                                 the two are no neighbours any more
//	join a b                                they are again
//	ask from=b of=a run=a numbers=1-3       b asks a whether it has these
//	pass 1s                                 what happens meanwhile is the output
//	missing at=b run=a numbers=1-9          what has not arrived
//
// An author has one run, and the run its name. Rewrite the transcripts with
// go test -run Transcripts -rewrite, and read the difference.
type story struct {
	now   time.Time
	start time.Time
	cores map[string]*History
	due   map[string]time.Time // of the next Advance
	out   strings.Builder
	nonce uint64
}

func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/repair", func(t *testing.T, path string) {
		s := &story{now: at(0), start: at(0), cores: map[string]*History{}, due: map[string]time.Time{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			s.run(t, d)
			if s.out.Len() == 0 {
				return "ok\n"
			}
			return s.out.String()
		})
	})
}

func (s *story) run(t *testing.T, d *datadriven.TestData) {
	arg := func(name string) (value string) {
		d.MaybeScanArgs(t, name, &value)
		return value
	}
	switch d.Cmd {
	case "peers":
		var n int
		fmt.Sscan(d.CmdArgs[0].Key, &n)
		for i := range n {
			s.cores[name(i)] = New(rand.New(rand.NewPCG(uint64(i), 0)))
			for j := range i {
				s.join(name(i), name(j))
			}
		}
	case "broadcast":
		numbers, size := interval(arg("numbers")), 100
		d.MaybeScanArgs(t, "size", &size)
		rec := Record{Run: s.runOf(arg("from")), First: numbers.First, Count: int(numbers.Last - numbers.First + 1), Data: make([]byte, size)}
		var to []string
		if a, ok := d.Arg("to"); ok {
			to = a.Vals
		}
		for _, p := range append([]string{arg("from")}, to...) {
			s.arrive(p, rec, 0)
		}
	case "cut":
		a, b := d.CmdArgs[0].Key, d.CmdArgs[1].Key
		s.cores[a].Leave(b)
		s.cores[b].Leave(a)
	case "join":
		s.join(d.CmdArgs[0].Key, d.CmdArgs[1].Key)
	case "ask":
		s.nonce++
		s.noted(arg("of"), s.cores[arg("of")].Ask(AckQuery{
			From: arg("from"), Nonce: s.nonce, Run: s.runOf(arg("run")), Interval: interval(arg("numbers")),
		}))
	case "pass":
		length, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.pass(length)
	case "missing":
		missing := s.cores[arg("at")].Missing(s.runOf(arg("run")), interval(arg("numbers")))
		fmt.Fprintf(&s.out, "%s\n", numbers(missing))
	default:
		d.Fatalf(t, "no such command")
	}
}

func (s *story) runOf(author string) Run { return Run{Author: author, Boot: 1} }

func (s *story) join(a, b string) {
	s.noted(a, s.cores[a].Join(s.now, b))
	s.noted(b, s.cores[b].Join(s.now, a))
}

// noted has a peer look at its history at once or in 50 ms, as its owner does.
func (s *story) noted(p string, e Effects) {
	wanted := s.now.Add(50 * time.Millisecond)
	if e.Now {
		wanted = s.now
	}
	if due := s.due[p]; (e.Now || e.Soon) && (due.IsZero() || wanted.Before(due)) {
		s.due[p] = wanted
	}
}

func (s *story) say(format string, args ...any) {
	fmt.Fprintf(&s.out, "%7.3fs ", s.now.Sub(s.start).Seconds())
	fmt.Fprintf(&s.out, format+"\n", args...)
}

// arrive has a batch arrive at a peer.
func (s *story) arrive(p string, rec Record, age time.Duration) {
	core := s.cores[p]
	a := core.Receive(s.now, rec, age)
	effects := core.Keep(s.now, a)
	s.noted(p, effects)
	got := "nothing new"
	if len(a.Fresh) > 0 {
		got = numbers([]Interval{{First: rec.First + uint64(a.Fresh[0]), Last: rec.First + uint64(a.Fresh[len(a.Fresh)-1])}})
	}
	urgent := ""
	if effects.Now {
		urgent = ", to be announced at once"
	}
	s.say("%s has %s of %s%s", p, got, rec.Run.Author, urgent)
}

// pass lets time pass in steps of a millisecond, in which each peer does what is due.
func (s *story) pass(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(time.Millisecond) {
		for i := range len(s.cores) {
			s.advance(name(i))
		}
	}
}

func (s *story) advance(p string) {
	core := s.cores[p]
	if due := s.due[p]; due.IsZero() || s.now.Before(due) {
		return
	}
	e := core.Advance(s.now)
	s.due[p] = core.Deadline(s.now)
	for _, l := range e.Lost {
		s.say("%s gives up %s of %s", p, numbers([]Interval{{First: l.First, Last: l.Last}}), l.Run.Author)
	}
	for _, a := range e.Announce {
		for _, h := range a.Haves {
			urgent := ""
			if h.Urgent {
				urgent = ", fetch at once"
			}
			s.say("%s tells %s that it has %s of %s%s", p, a.To, numbers([]Interval{{First: h.Low, Last: h.High}}), h.Run.Author, urgent)
		}
		s.noted(a.To, s.cores[a.To].Hear(s.now, p, a.Haves))
	}
	for _, q := range e.Ack {
		s.say("%s tells %s that it has all that question %d is about", p, q.From, q.Nonce)
	}
	for _, f := range e.Fetch {
		served := s.cores[f.To].Serve(s.now, f)
		s.say("%s fetches %s of %s from %s and gets %s", p, numbers(f.Intervals), f.Run.Author, f.To, batches(len(served)))
		for _, rec := range served {
			s.arrive(p, rec.Record, rec.Age)
		}
		s.noted(p, core.Done(s.now, f.To, f.Run))
	}
}

func batches(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprint(n, " batches")
}

// interval reads 3 or 1-9.
func interval(text string) (i Interval) {
	first, last, two := strings.Cut(text, "-")
	fmt.Sscan(first, &i.First)
	if i.Last = i.First; two {
		fmt.Sscan(last, &i.Last)
	}
	return i
}

// numbers is the inverse of interval, for several.
func numbers(list []Interval) string {
	texts := make([]string, len(list))
	for i, v := range list {
		if texts[i] = fmt.Sprint(v.First); v.Last > v.First {
			texts[i] += fmt.Sprint("-", v.Last)
		}
	}
	if len(texts) == 0 {
		return "nothing"
	}
	return strings.Join(texts, " ")
}
