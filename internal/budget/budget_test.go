package budget

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestBudget_StaysWithinItsLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(0, 100).Draw(t, "total")
		b := New(total)
		type model struct {
			*Share
			max, held int
		}
		var shares []*model
		for range rapid.IntRange(1, 4).Draw(t, "shares") {
			max := rapid.IntRange(0, 60).Draw(t, "max")
			shares = append(shares, &model{Share: b.Share("share", max), max: max})
		}
		sum := 0
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			s := rapid.SampledFrom(shares).Draw(t, "share")
			if n := rapid.IntRange(0, 70).Draw(t, "n"); rapid.Bool().Draw(t, "take") {
				fits := s.held+n <= s.max && sum+n <= total
				if s.TryTake(n) != fits {
					t.Fatalf("%d of %d are held, all hold %d of %d, and of %d more: %v", s.held, s.max, sum, total, n, !fits)
				}
				if fits {
					s.held, sum = s.held+n, sum+n
				}
			} else if n <= s.held {
				s.Give(n)
				s.held, sum = s.held-n, sum-n
			}
			if s.Held() != s.held || b.Held() != sum {
				t.Fatalf("%d and %d are held, not %d and %d", s.Held(), b.Held(), s.held, sum)
			}
		}
	})
}

func TestBudget_SumNeverExceedsTotal(t *testing.T) {
	const total = 100
	b := New(total)
	var mu sync.Mutex
	sum := 0
	var wg sync.WaitGroup
	for range 8 {
		s := b.Share("share", 60)
		wg.Go(func() {
			for i := range 2000 {
				n := i % 50
				if !s.TryTake(n) {
					continue
				}
				mu.Lock()
				if sum += n; sum > total {
					t.Errorf("%d of %d are held", sum, total)
				}
				sum -= n
				mu.Unlock()
				s.Give(n)
			}
		})
	}
	wg.Wait()
	if b.Held() != 0 {
		t.Errorf("%d are held in the end", b.Held())
	}
}

func TestShare_NilHasNoLimit(t *testing.T) {
	var s *Share
	if !s.TryTake(1 << 40) {
		t.Error("it has a limit")
	}
	s.Give(1 << 40)
	if s.Held() != 0 {
		t.Error("it counts")
	}
}

func TestShare_OfNoBudgetHasItsOwnLimit(t *testing.T) {
	var b *Budget
	s := b.Share("share", 10)
	if !s.TryTake(10) || s.TryTake(1) {
		t.Error("it is not limited to 10")
	}
}

func TestShare_GivingTooMuchPanics(t *testing.T) {
	s := New(10).Share("inbox", 10)
	s.TryTake(3)
	defer func() {
		if recover() == nil {
			t.Error("it has given more than it had")
		}
	}()
	s.Give(4)
}
