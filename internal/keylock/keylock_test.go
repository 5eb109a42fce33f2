package keylock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLocks_OneAtATimeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ls Locks[string]
		unlock, err := ls.Lock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		other, err := ls.Lock(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		other()
		var order []int
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				unlock, err := ls.Lock(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				unlock()
			})
			synctest.Wait()
		}
		if len(order) != 0 {
			t.Errorf("%v did not wait", order)
		}
		unlock()
		wg.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("the order is %v", order)
		}
		if len(ls.used) != 0 {
			t.Errorf("%d locks are left", len(ls.used))
		}
	})
}

func TestLocks_WaitingEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ls Locks[int]
		unlock, _ := ls.Lock(t.Context(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ls.Lock(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		unlock()
		if len(ls.used) != 0 {
			t.Errorf("%d locks are left", len(ls.used))
		}
	})
}

func TestLocks_Race(t *testing.T) {
	var ls Locks[int]
	var wg sync.WaitGroup
	counts := [3]int{}
	for range 8 {
		wg.Go(func() {
			for i := range 300 {
				unlock, err := ls.Lock(t.Context(), i%3)
				if err != nil {
					t.Error(err)
					return
				}
				counts[i%3]++
				unlock()
			}
		})
	}
	wg.Wait()
	if counts != [3]int{800, 800, 800} {
		t.Error(counts)
	}
}
