package repair

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/internal/intervalset"
)

const (
	maxAuthors   = 4096 // authors remembered; the one heard longest ago goes first
	maxBoots     = 4    // runs remembered of one author; older ones count as seen
	maxIntervals = 1024 // intervals of numbers remembered of one run; see bootSeen.add
)

// An Interval is the numbers from First to Last, both included.
type Interval = intervalset.Interval

// Seen is the set of numbered messages that were handled, a dotted version vector by author
// and run. With it nothing is handled twice, however often and however late it comes
// (docs/design.md: the waterfall rule). Its size is bounded. Where it must forget, it
// forgets the possibility of a late first arrival, not what was handled, but for authors
// beyond the 4096 last heard.
type Seen struct {
	authors map[string]*authorSeen
}

// NewSeen returns an empty set.
func NewSeen() *Seen { return &Seen{authors: map[string]*authorSeen{}} }

type authorSeen struct {
	heard time.Time
	boots []bootSeen // highest boot first
}

type bootSeen struct {
	boot    uint64
	numbers intervalset.Set
}

// Add notes message number seq of a run of author. It reports whether the message is new, and
// which numbers were given up for it, if the run had too many intervals.
func (s *Seen) Add(now time.Time, author string, boot, seq uint64) (fresh bool, lost Interval) {
	a := s.authors[author]
	if a == nil {
		if len(s.authors) >= maxAuthors {
			s.forgetOldest()
		}
		a = &authorSeen{}
		s.authors[author] = a
	}
	a.heard = now
	i, found := slices.BinarySearchFunc(a.boots, boot, func(b bootSeen, boot uint64) int {
		switch {
		case b.boot > boot:
			return -1
		case b.boot < boot:
			return 1
		}
		return 0
	})
	if !found {
		if i == maxBoots {
			return false, Interval{}
		}
		a.boots = slices.Insert(a.boots, i, bootSeen{boot: boot})
		a.boots = a.boots[:min(len(a.boots), maxBoots)]
	}
	return a.boots[i].add(seq)
}

// gaps returns the numbers from low to high that are not in the run, ascending. Of
// a run that is not remembered it returns none.
func (s *Seen) gaps(author string, boot, low, high uint64) []Interval {
	if low > high || low == 0 {
		return nil
	}
	b := s.run(author, boot)
	if b == nil {
		if a := s.authors[author]; a != nil && len(a.boots) == maxBoots && boot < a.boots[maxBoots-1].boot {
			return nil
		}
		return []Interval{{First: low, Last: high}}
	}
	return b.numbers.Missing(low, high)
}

// fill counts the numbers from first to last of a run as seen.
func (s *Seen) fill(author string, boot, first, last uint64) {
	if b := s.run(author, boot); b != nil {
		b.numbers.Add(first, last)
	}
}

// top returns the highest number of a run that was noted, 0 if none was.
func (s *Seen) top(author string, boot uint64) uint64 {
	if b := s.run(author, boot); b != nil {
		return b.numbers.Max()
	}
	return 0
}

func (s *Seen) run(author string, boot uint64) *bootSeen {
	a := s.authors[author]
	if a == nil {
		return nil
	}
	for i := range a.boots {
		if a.boots[i].boot == boot {
			return &a.boots[i]
		}
	}
	return nil
}

func (s *Seen) forgetOldest() {
	var oldest string
	var heard time.Time
	for id, a := range s.authors {
		if oldest == "" || a.heard.Before(heard) || a.heard.Equal(heard) && id < oldest {
			oldest, heard = id, a.heard
		}
	}
	delete(s.authors, oldest)
}

// add notes a number. Beyond maxIntervals the gap between the two lowest intervals is given
// up: what is missing there counts as seen from then on.
func (b *bootSeen) add(seq uint64) (fresh bool, lost Interval) {
	if b.numbers.Contains(seq) {
		return false, Interval{}
	}
	b.numbers.Add(seq, seq)
	if len(b.numbers) > maxIntervals {
		lost, _ = b.numbers.FillLowestGap()
	}
	return true, lost
}
