// Package ttlset has a bounded set whose members are forgotten after some time.
package ttlset

import "time"

// A Set forgets its members after some time, or when there are too many newer ones. It is
// not safe for concurrent use.
type Set struct {
	life  time.Duration
	most  int
	since map[string]time.Time
	order []string // oldest first
}

// New returns a set of at most most members, each for the time life.
func New(life time.Duration, most int) *Set {
	return &Set{life: life, most: most, since: map[string]time.Time{}}
}

// Add adds a member and reports whether it is new. A member that is added again keeps its age.
func (s *Set) Add(now time.Time, member string) bool {
	for len(s.order) > 0 && now.Sub(s.since[s.order[0]]) > s.life {
		s.forget()
	}
	if _, known := s.since[member]; known {
		return false
	}
	if len(s.order) >= s.most {
		s.forget()
	}
	s.since[member] = now
	s.order = append(s.order, member)
	return true
}

// Has reports whether member is in the set.
func (s *Set) Has(now time.Time, member string) bool {
	since, known := s.since[member]
	return known && now.Sub(since) <= s.life
}

func (s *Set) forget() {
	delete(s.since, s.order[0])
	s.order = s.order[1:]
}
