package mesh

// CORE: which numbered messages of which authors were handled in this run.

import (
	"cmp"
	"slices"
	"time"
)

const (
	maxAuthors = 4096 // authors remembered; the one heard longest ago goes first
	maxBoots   = 4    // runs remembered of one author; older ones count as seen
	maxSpans   = 1024 // stretches of numbers remembered of one run; see spans.insert
)

// seen remembers what was handled, so that nothing is handled twice however
// often and however late it comes (design: the waterfall rule). Its size is
// bounded; where it must forget it forgets the possibility of a late first
// arrival, not what was handled, but for authors beyond the 4096 last heard.
type seen struct {
	authors map[string]*authorSeen
}

type authorSeen struct {
	heard time.Time
	boots []bootSeen // highest boot first
}

type bootSeen struct {
	boot  uint64
	spans spans
}

// add notes message number seq of a run of author, and tells whether it is new and
// which numbers were given up for it, if its spans had become too many.
func (s *seen) add(now time.Time, author string, boot, seq uint64) (fresh bool, lost span) {
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
			return false, span{}
		}
		a.boots = slices.Insert(a.boots, i, bootSeen{boot: boot})
		a.boots = a.boots[:min(len(a.boots), maxBoots)]
	}
	return a.boots[i].spans.add(seq)
}

// gaps returns the numbers from low to high that are not in the run, ascending. Of
// a run that is not remembered it returns none.
func (s *seen) gaps(author string, boot, low, high uint64) []span {
	if low > high || low == 0 {
		return nil
	}
	b := s.run(author, boot)
	if b == nil {
		if a := s.authors[author]; a != nil && len(a.boots) == maxBoots && boot < a.boots[maxBoots-1].boot {
			return nil
		}
		return []span{{low, high}}
	}
	var gaps []span
	next := low
	for _, sp := range b.spans {
		if sp.last < next {
			continue
		}
		if sp.first > high {
			break
		}
		if sp.first > next {
			gaps = append(gaps, span{next, sp.first - 1})
		}
		next = sp.last + 1
		if next > high || next == 0 {
			return gaps
		}
	}
	return append(gaps, span{next, high})
}

// fill counts the numbers from first to last of a run as seen. Both ends are next
// to numbers that are, or the only ones.
func (s *seen) fill(author string, boot, first, last uint64) {
	b := s.run(author, boot)
	if b == nil {
		return
	}
	b.spans = slices.DeleteFunc(b.spans, func(sp span) bool { return sp.first >= first && sp.last <= last })
	b.spans.addSpan(span{first, last})
}

func (s *seen) run(author string, boot uint64) *bootSeen {
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

func (s *seen) forgetOldest() {
	var oldest string
	var heard time.Time
	for id, a := range s.authors {
		if oldest == "" || a.heard.Before(heard) || a.heard.Equal(heard) && id < oldest {
			oldest, heard = id, a.heard
		}
	}
	delete(s.authors, oldest)
}

// spans is a set of numbers as ascending stretches that do not touch.
type spans []span

type span struct{ first, last uint64 }

// top returns the highest number of a run that was noted, 0 if none was.
func (s *seen) top(author string, boot uint64) uint64 {
	if b := s.run(author, boot); b != nil {
		return b.spans[len(b.spans)-1].last
	}
	return 0
}

// add puts n into the set and tells whether it was new, and which numbers were given
// up for it.
func (s *spans) add(n uint64) (fresh bool, lost span) {
	i, inside := slices.BinarySearchFunc(*s, n, func(sp span, n uint64) int {
		switch {
		case sp.last < n:
			return -1
		case sp.first > n:
			return 1
		}
		return 0
	})
	if inside {
		return false, span{}
	}
	return true, s.insert(i, span{n, n})
}

// addSpan puts numbers into the set of which none is in it.
func (s *spans) addSpan(sp span) {
	i, _ := slices.BinarySearchFunc(*s, sp.first, func(o span, first uint64) int { return cmp.Compare(o.first, first) })
	s.insert(i, sp)
}

// insert puts a stretch before the i-th, joining those that it touches. Beyond
// maxSpans the gap between the two lowest stretches is given up: what is missing
// there counts as seen from then on.
func (s *spans) insert(i int, sp span) (lost span) {
	joinsLeft := i > 0 && (*s)[i-1].last+1 == sp.first
	joinsRight := i < len(*s) && sp.last+1 == (*s)[i].first
	switch {
	case joinsLeft && joinsRight:
		(*s)[i-1].last = (*s)[i].last
		*s = slices.Delete(*s, i, i+1)
	case joinsLeft:
		(*s)[i-1].last = sp.last
	case joinsRight:
		(*s)[i].first = sp.first
	default:
		*s = slices.Insert(*s, i, sp)
		if len(*s) > maxSpans {
			lost = span{(*s)[0].last + 1, (*s)[1].first - 1}
			(*s)[1].first = (*s)[0].first
			*s = slices.Delete(*s, 0, 1)
		}
	}
	return lost
}
