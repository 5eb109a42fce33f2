package repair

import (
	"cmp"
	"slices"
	"time"
)

const (
	maxAuthors       = 4096 // authors remembered; the one heard longest ago goes first
	maxBoots         = 4    // runs remembered of one author; older ones count as seen
	maxIntervalsKept = 1024 // stretches of numbers remembered of one run; see spans.insert
)

// Seen remembers what was handled, so that nothing is handled twice however
// often and however late it comes (design: the waterfall rule). Its size is
// bounded; where it must forget it forgets the possibility of a late first
// arrival, not what was handled, but for authors beyond the 4096 last heard.
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
	boot      uint64
	intervals intervals
}

// Add notes message number seq of a run of author, and tells whether it is new and
// which numbers were given up for it, if its spans had become too many.
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
	return a.boots[i].intervals.add(seq)
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
		return []Interval{{low, high}}
	}
	var gaps []Interval
	next := low
	for _, sp := range b.intervals {
		if sp.Last < next {
			continue
		}
		if sp.First > high {
			break
		}
		if sp.First > next {
			gaps = append(gaps, Interval{next, sp.First - 1})
		}
		next = sp.Last + 1
		if next > high || next == 0 {
			return gaps
		}
	}
	return append(gaps, Interval{next, high})
}

// fill counts the numbers from first to last of a run as seen. Both ends are next
// to numbers that are, or the only ones.
func (s *Seen) fill(author string, boot, first, last uint64) {
	b := s.run(author, boot)
	if b == nil {
		return
	}
	b.intervals = slices.DeleteFunc(b.intervals, func(sp Interval) bool { return sp.First >= first && sp.Last <= last })
	b.intervals.addInterval(Interval{first, last})
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

// intervals is a set of numbers as ascending stretches that do not touch.
type intervals []Interval

type Interval struct{ First, Last uint64 }

// top returns the highest number of a run that was noted, 0 if none was.
func (s *Seen) top(author string, boot uint64) uint64 {
	if b := s.run(author, boot); b != nil {
		return b.intervals[len(b.intervals)-1].Last
	}
	return 0
}

// add puts n into the set and tells whether it was new, and which numbers were given
// up for it.
func (s *intervals) add(n uint64) (fresh bool, lost Interval) {
	i, inside := slices.BinarySearchFunc(*s, n, func(sp Interval, n uint64) int {
		switch {
		case sp.Last < n:
			return -1
		case sp.First > n:
			return 1
		}
		return 0
	})
	if inside {
		return false, Interval{}
	}
	return true, s.insert(i, Interval{n, n})
}

// addInterval puts numbers into the set of which none is in it.
func (s *intervals) addInterval(sp Interval) {
	i, _ := slices.BinarySearchFunc(*s, sp.First, func(o Interval, first uint64) int { return cmp.Compare(o.First, first) })
	s.insert(i, sp)
}

// insert puts a stretch before the i-th, joining those that it touches. Beyond
// maxSpans the gap between the two lowest stretches is given up: what is missing
// there counts as seen from then on.
func (s *intervals) insert(i int, sp Interval) (lost Interval) {
	joinsLeft := i > 0 && (*s)[i-1].Last+1 == sp.First
	joinsRight := i < len(*s) && sp.Last+1 == (*s)[i].First
	switch {
	case joinsLeft && joinsRight:
		(*s)[i-1].Last = (*s)[i].Last
		*s = slices.Delete(*s, i, i+1)
	case joinsLeft:
		(*s)[i-1].Last = sp.Last
	case joinsRight:
		(*s)[i].First = sp.First
	default:
		*s = slices.Insert(*s, i, sp)
		if len(*s) > maxIntervalsKept {
			lost = Interval{(*s)[0].Last + 1, (*s)[1].First - 1}
			(*s)[1].First = (*s)[0].First
			*s = slices.Delete(*s, 0, 1)
		}
	}
	return lost
}
