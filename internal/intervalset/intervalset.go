// Package intervalset represents sets of numbers as intervals. It suits numbers that mostly
// follow one another, such as those of the messages that have arrived: the memory of a set
// grows with its gaps rather than with its members.
package intervalset

import (
	"cmp"
	"math"
	"slices"
)

// An Interval is the numbers from First to Last inclusive.
type Interval struct{ First, Last uint64 }

// A Set is a set of numbers, as ascending intervals with a gap between any two. The nil Set
// is empty. Callers may read the slice; only the methods change it. A Set is not safe for
// concurrent use.
//
// Adding the number after the highest one takes constant time. Adding another may move all
// intervals above it. Contains searches the intervals by bisection.
type Set []Interval

// Contains reports whether n is in the set.
func (s Set) Contains(n uint64) bool {
	i := s.search(n)
	return i < len(s) && s[i].First <= n
}

// search returns the index of the first interval that ends at n or later.
func (s Set) search(n uint64) int {
	i, _ := slices.BinarySearchFunc(s, n, func(v Interval, n uint64) int { return cmp.Compare(v.Last, n) })
	return i
}

// Add adds the numbers from first to last inclusive, and none if first > last.
func (s *Set) Add(first, last uint64) {
	if first > last {
		return
	}
	if n := len(*s); n > 0 && first > 0 && (*s)[n-1].Last == first-1 { // nearly always
		(*s)[n-1].Last = last
		return
	}
	i := s.search(max(first, 1) - 1) // an interval that ends just below first is joined
	j := i
	for j < len(*s) && ((*s)[j].First <= last || (*s)[j].First-1 == last) {
		first, last = min(first, (*s)[j].First), max(last, (*s)[j].Last)
		j++
	}
	if j == i+1 {
		(*s)[i] = Interval{First: first, Last: last}
		return
	}
	*s = slices.Replace(*s, i, j, Interval{First: first, Last: last})
}

// Union adds all numbers of another set.
func (s *Set) Union(o Set) {
	for _, v := range o {
		s.Add(v.First, v.Last)
	}
}

// Max returns the highest number of the set, and 0 if it is empty.
func (s Set) Max() uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].Last
}

// Prefix returns the highest n such that all numbers from 1 to n are in the set, and 0 if
// 1 is not.
func (s Set) Prefix() uint64 {
	if len(s) > 0 && s[0].First <= 1 {
		return s[0].Last
	}
	return 0
}

// Missing returns the numbers from first to last inclusive that are not in the set.
func (s Set) Missing(first, last uint64) Set {
	var missing Set
	for _, v := range s[s.search(first):] {
		if first > last || v.First > last {
			break
		}
		if v.First > first {
			missing = append(missing, Interval{First: first, Last: v.First - 1})
		}
		if v.Last == math.MaxUint64 {
			return missing
		}
		first = v.Last + 1
	}
	if first <= last {
		missing = append(missing, Interval{First: first, Last: last})
	}
	return missing
}

// FillLowestGap adds the numbers between the two lowest intervals and returns them. The set
// has one interval less then, which keeps it within a limit. FillLowestGap reports false if
// the set has no gap.
func (s *Set) FillLowestGap() (gap Interval, ok bool) {
	if len(*s) < 2 {
		return Interval{}, false
	}
	gap = Interval{First: (*s)[0].Last + 1, Last: (*s)[1].First - 1}
	(*s)[1].First = (*s)[0].First
	*s = slices.Delete(*s, 0, 1)
	return gap, true
}

// Valid reports whether the intervals are those of a Set: not empty, ascending, and with a
// gap between any two. A decoder checks this before it uses the set.
func (s Set) Valid() bool {
	for i, v := range s {
		if v.First > v.Last || i > 0 && (v.First <= s[i-1].Last || v.First-1 == s[i-1].Last) {
			return false
		}
	}
	return true
}
