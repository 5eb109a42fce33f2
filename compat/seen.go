package compat

// CORE: which broadcasts were passed on.

import "time"

const (
	remember = 300 * time.Second // longer than one from the future is passed on by anybody
	maxSeen  = 100_000
)

// seen are the IDs of broadcasts, the oldest of which are forgotten.
type seen struct {
	since map[string]time.Time
	order []string
}

// add notes an ID, and tells whether it is new.
func (s *seen) add(now time.Time, id string) bool {
	if s.since == nil {
		s.since = map[string]time.Time{}
	}
	if _, known := s.since[id]; known {
		return false
	}
	for len(s.order) > 0 && (len(s.order) >= maxSeen || now.Sub(s.since[s.order[0]]) > remember) {
		delete(s.since, s.order[0])
		s.order = s.order[1:]
	}
	s.since[id] = now
	s.order = append(s.order, id)
	return true
}
