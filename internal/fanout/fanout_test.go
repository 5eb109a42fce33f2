package fanout

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/p2p-today/go2p/internal/budget"
)

func TestFeed_EachSubscriberGetsWhatItWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := Feed[int]{Size: func(int) int { return 10 }, Budget: budget.New(1000)}
		ctx, cancel := context.WithCancel(t.Context())
		collect := func(ctx context.Context, want func(int) bool) (got *[]int, end *error) {
			got, end = new([]int), new(error)
			items := f.Follow(ctx, want)
			go func() {
				for item, err := range items {
					if err != nil {
						*end = err
						return
					}
					*got = append(*got, item)
				}
			}()
			return got, end
		}
		all, allEnd := collect(t.Context(), func(int) bool { return true })
		even, evenEnd := collect(ctx, func(i int) bool { return i%2 == 0 })
		for i := range 4 {
			f.Publish(i)
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		f.Publish(4)
		f.Close()
		synctest.Wait()
		if !slices.Equal(*all, []int{0, 1, 2, 3, 4}) || !errors.Is(*allEnd, ErrClosed) {
			t.Errorf("all: %v, %v", *all, *allEnd)
		}
		if !slices.Equal(*even, []int{0, 2}) || !errors.Is(*evenEnd, context.Canceled) {
			t.Errorf("even: %v, %v", *even, *evenEnd)
		}
		if f.Budget.Held() != 0 {
			t.Errorf("%d bytes are held", f.Budget.Held())
		}
		if len(f.subs) != 0 {
			t.Errorf("%d subscribers are left", len(f.subs))
		}
	})
}

func TestFeed_LaggingSubscriberIsEnded(t *testing.T) {
	for name, f := range map[string]*Feed[int]{
		"items":  {},
		"bytes":  {Size: func(int) int { return MaxBytes / 10 }},
		"budget": {Size: func(int) int { return 1 }, Budget: budget.New(100)},
	} {
		slow := f.Follow(t.Context(), func(int) bool { return true })
		for i := range MaxItems + 1 {
			f.Publish(i)
		}
		for _, err := range slow {
			if !errors.Is(err, ErrLagged) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if f.Budget != nil && f.Budget.Held() != 0 {
			t.Errorf("%s: %d bytes are held", name, f.Budget.Held())
		}
	}
}
