package wire

import (
	"time"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
	"github.com/p2p-today/go2p/internal/dcbor"
)

// The kinds of answers.
const (
	SayView    = 0 // [id, 0, owns, view, [next …]]
	SayRefused = 1 // [id, 1, k]
	SayClaim   = 2 // [id, 2, verdict, view, [next …]]
	SayNotMine = 3 // [id, 3, view, [next …]]
	SayVersion = 4 // [id, 4, filling, homes, version, deleted, age, [] or [value]]
	SayOutcome = 5 // [id, 5, filling, homes, outcome, version]
	SayPage    = 6 // [id, 6, filling, [] or [next], [entry …]]
	SayChanges = 7 // [id, 7, run, revision, missed, [entry …]]
	SayFailed  = 8 // [id, 8, text]
	SayCount   = 9 // [id, 9, filling, keys]
)

// A reply answers a question.
type Reply struct {
	Kind        uint64
	K           ring.Circle
	Owns        bool
	View        *ring.View
	Next        []ring.Node
	Verdict     ring.Verdict
	Backfilling bool
	Replicas    int // held, done: that a key has, as far as this node knows
	Outcome     home.Outcome
	Write       home.Write // held: what; done: the version that stands
	Value       string     // held
	Whole       bool       // held: the value is there
	More        bool       // page
	Start       string     // page: where to go on
	Entries     []home.Entry
	Run         uint64
	Missed      bool // changes: some are remembered no more
	Revision    uint64
	Text        string
	Count       int
}

func (a *Reply) Append(dst []byte, id uint64, now time.Time) []byte {
	head := func(n int) []byte {
		return dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(dst, 2+n), id), a.Kind)
	}
	switch a.Kind {
	case SayView:
		return appendNodes(appendView(dcbor.AppendBool(head(3), a.Owns), a.View), a.Next)
	case SayRefused:
		return dcbor.AppendUint(head(1), uint64(a.K))
	case SayClaim:
		return appendNodes(appendView(dcbor.AppendUint(head(3), uint64(a.Verdict)), a.View), a.Next)
	case SayNotMine:
		return appendNodes(appendView(head(2), a.View), a.Next)
	case SayVersion:
		dst = a.Write.Append(dcbor.AppendUint(dcbor.AppendBool(head(6), a.Backfilling), uint64(a.Replicas)), now)
		if !a.Whole {
			return dcbor.AppendArray(dst, 0)
		}
		return dcbor.AppendBytes(dcbor.AppendArray(dst, 1), a.Value)
	case SayOutcome:
		dst = dcbor.AppendUint(dcbor.AppendBool(head(4), a.Backfilling), uint64(a.Replicas))
		return a.Write.Version.Append(dcbor.AppendUint(dst, uint64(a.Outcome)))
	case SayPage:
		dst = dcbor.AppendBool(head(3), a.Backfilling)
		if a.More {
			dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 1), a.Start)
		} else {
			dst = dcbor.AppendArray(dst, 0)
		}
		return appendEntries(dst, a.Entries, now)
	case SayChanges:
		dst = dcbor.AppendBool(dcbor.AppendUint(dcbor.AppendUint(head(4), a.Run), a.Revision), a.Missed)
		return appendEntries(dst, a.Entries, now)
	case SayCount:
		return dcbor.AppendUint(dcbor.AppendBool(head(2), a.Backfilling), uint64(a.Count))
	}
	return dcbor.AppendText(head(1), a.Text)
}

func appendEntries(dst []byte, entries []home.Entry, now time.Time) []byte {
	dst = dcbor.AppendArray(dst, len(entries))
	for _, e := range entries {
		dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 5), e.Key)
		dst = dcbor.AppendBytes(e.Write.Append(dst, now), e.Value)
	}
	return dst
}

func scanEntries(s *dcbor.Scanner, now time.Time) (entries []home.Entry) {
	n := s.Array(home.MaxPage)
	for range n {
		s.Tuple(5)
		e := home.Entry{Key: home.ScanString(s, home.MaxKey), Write: home.ScanWrite(s, now)}
		e.Value = home.ScanString(s, home.MaxValue)
		if s.Bad() {
			return nil
		}
		e.Write.Size = len(e.Value)
		entries = append(entries, e)
	}
	return entries
}

// scanReply reads an answer.
func ScanReply(data []byte, now time.Time) (id uint64, a *Reply, err error) {
	s := dcbor.Scan(data)
	fields := s.Array(8)
	id = s.Uint()
	a = &Reply{Kind: s.Uint()}
	want := [...]int{
		SayView: 3, SayRefused: 1, SayClaim: 3, SayNotMine: 2, SayVersion: 6, SayOutcome: 4, SayPage: 3, SayChanges: 4,
		SayFailed: 1, SayCount: 2,
	}
	if a.Kind >= uint64(len(want)) || fields != 2+want[a.Kind] {
		return id, nil, dcbor.ErrForm
	}
	switch a.Kind {
	case SayView:
		a.Owns, a.View, a.Next = s.Bool(), scanView(&s), scanNodes(&s)
	case SayRefused:
		a.K = ring.Circle(min(s.Uint(), 1<<8))
	case SayClaim:
		a.Verdict, a.View, a.Next = ring.Verdict(min(s.Uint(), uint64(ring.Busy))), scanView(&s), scanNodes(&s)
	case SayNotMine:
		a.View, a.Next = scanView(&s), scanNodes(&s)
	case SayVersion:
		a.Backfilling, a.Replicas, a.Write = s.Bool(), int(min(s.Uint(), ring.Copies)), home.ScanWrite(&s, now)
		if a.Whole = s.Array(1) == 1; a.Whole {
			a.Value = home.ScanString(&s, home.MaxValue)
			a.Write.Size = len(a.Value)
		}
	case SayOutcome:
		a.Backfilling, a.Replicas = s.Bool(), int(min(s.Uint(), ring.Copies))
		a.Outcome, a.Write.Version = home.Outcome(min(s.Uint(), uint64(home.Full))), home.ScanVersion(&s)
	case SayPage:
		a.Backfilling = s.Bool()
		if a.More = s.Array(1) == 1; a.More {
			a.Start = home.ScanString(&s, home.MaxKey+1)
		}
		a.Entries = scanEntries(&s, now)
	case SayChanges:
		a.Run, a.Revision, a.Missed = s.Uint(), s.Uint(), s.Bool()
		a.Entries = scanEntries(&s, now)
	case SayFailed:
		a.Text = string(s.Text())
	case SayCount:
		a.Backfilling, a.Count = s.Bool(), int(min(s.Uint(), 1<<40))
	}
	return id, a, s.End()
}
