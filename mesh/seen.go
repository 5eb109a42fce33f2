package mesh

// CORE: which numbered messages of which authors were handled in this run.

import (
	"slices"
	"time"
)

const (
	maxAuthors = 4096 // authors remembered; the one heard longest ago goes first
	maxBoots   = 4    // runs remembered of one author; older ones count as seen
	maxSpans   = 256  // stretches of numbers remembered of one run; see spans.add
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

// add notes message number seq of a run of author, and tells whether it is new.
func (s *seen) add(now time.Time, author string, boot, seq uint64) bool {
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
			return false
		}
		a.boots = slices.Insert(a.boots, i, bootSeen{boot: boot})
		a.boots = a.boots[:min(len(a.boots), maxBoots)]
	}
	return a.boots[i].spans.add(seq)
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

// add puts n into the set and tells whether it was new. Beyond maxSpans the gap
// between the two lowest stretches is given up: what is missing there counts as
// seen from then on.
func (s *spans) add(n uint64) bool {
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
		return false
	}
	joinsLeft := i > 0 && (*s)[i-1].last+1 == n
	joinsRight := i < len(*s) && n+1 == (*s)[i].first
	switch {
	case joinsLeft && joinsRight:
		(*s)[i-1].last = (*s)[i].last
		*s = slices.Delete(*s, i, i+1)
	case joinsLeft:
		(*s)[i-1].last = n
	case joinsRight:
		(*s)[i].first = n
	default:
		*s = slices.Insert(*s, i, span{n, n})
		if len(*s) > maxSpans {
			(*s)[1].first = (*s)[0].first
			*s = slices.Delete(*s, 0, 1)
		}
	}
	return true
}
