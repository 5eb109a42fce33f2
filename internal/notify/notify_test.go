package notify

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBroadcast_WakesAllWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var b Broadcast
		n, woken := 0, 0
		for want := range 5 {
			go func() {
				if err := b.Await(t.Context(), &mu, func() bool {
					if n > want {
						woken++
					}
					return n > want
				}); err != nil {
					t.Error(err)
				}
			}()
		}
		for i := range 5 {
			synctest.Wait()
			mu.Lock()
			if woken != i {
				t.Errorf("%d are awake after %d changes", woken, i)
			}
			n++
			if i%2 == 0 { // before or after the lock is released
				b.Notify()
				mu.Unlock()
			} else {
				mu.Unlock()
				b.Notify()
			}
		}
		synctest.Wait()
		if woken != 5 {
			t.Errorf("%d are awake in the end", woken)
		}
	})
}

func TestBroadcast_AwaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var mu sync.Mutex
		var b Broadcast
		if err := b.Await(ctx, &mu, func() bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := b.Await(ctx, &mu, func() bool { return true }); err != nil {
			t.Errorf("done, and the context ended: %v", err)
		}
		if !mu.TryLock() {
			t.Error("the lock is held still")
		}
	})
}

func TestBroadcast_NoChangeIsMissed(t *testing.T) {
	var mu sync.Mutex
	var b Broadcast
	n := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				b.Await(t.Context(), &mu, func() bool { return n >= i })
			}
		})
	}
	for range 1000 {
		mu.Lock()
		n++
		mu.Unlock()
		b.Notify()
	}
	wg.Wait()
}

func TestBroadcast_NotifyWithoutWaitersIsFree(t *testing.T) {
	var b Broadcast
	if n := testing.AllocsPerRun(100, b.Notify); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFlag_IsReceivedOnceHoweverOftenSet(t *testing.T) {
	f := NewFlag()
	for range 3 {
		f.Set()
	}
	<-f.C()
	select {
	case <-f.C():
		t.Error("it was received twice")
	default:
	}
	f.Set()
	<-f.C()
}
