// Package budget accounts for the memory that queues and caches hold, in bytes, so that
// those of one owner stay below one limit together.
package budget

import (
	"fmt"
	"math"
	"sync/atomic"
)

// A Budget is a number of bytes that several shares may hold together. Its methods and
// those of its shares may be called concurrently, and never wait.
//
// Each share of a nil *Budget is limited by its own maximum alone.
type Budget struct {
	total int64
	held  atomic.Int64
}

// New returns a budget of total bytes.
func New(total int) *Budget { return &Budget{total: int64(total)} }

// Held returns the number of bytes that all shares hold together.
func (b *Budget) Held() int { return int(b.held.Load()) }

// Share returns a new share of at most max bytes. Panics name it. The maxima of all shares
// may add up to more than the budget; the bytes that they hold never do.
func (b *Budget) Share(name string, max int) *Share {
	if b == nil {
		b = New(math.MaxInt)
	}
	return &Share{budget: b, name: name, max: int64(max)}
}

// A Share is the part of a budget that one queue or cache holds. A nil *Share has no limit
// and counts nothing.
type Share struct {
	budget *Budget
	name   string
	max    int64
	held   atomic.Int64
}

// TryTake takes n bytes and reports true if both the share's maximum and the budget have
// room for them. Otherwise it takes none.
func (s *Share) TryTake(n int) bool {
	if s == nil {
		return true
	}
	if !take(&s.held, int64(n), s.max) {
		return false
	}
	if !take(&s.budget.held, int64(n), s.budget.total) {
		s.held.Add(int64(-n))
		return false
	}
	return true
}

func take(held *atomic.Int64, n, limit int64) bool {
	if n < 0 {
		panic("budget: less than nothing is taken")
	}
	for {
		h := held.Load()
		if n > limit-h {
			return false
		}
		if held.CompareAndSwap(h, h+n) {
			return true
		}
	}
}

// Give gives n bytes back. It panics if the share does not hold as many.
func (s *Share) Give(n int) {
	if s == nil {
		return
	}
	if n < 0 || s.held.Add(int64(-n)) < 0 {
		panic(fmt.Sprintf("budget: %s gives %d bytes back that it does not hold", s.name, n))
	}
	s.budget.held.Add(int64(-n))
}

// Held returns the number of bytes that the share holds.
func (s *Share) Held() int {
	if s == nil {
		return 0
	}
	return int(s.held.Load())
}
