package lifecycle

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGroup_CloseWaitsForWhatWasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		var ended atomic.Int32
		for range 3 {
			g.Go(func() {
				<-g.Context().Done()
				time.Sleep(time.Second)
				ended.Add(1)
			})
		}
		if !g.Begin() {
			t.Fatal("a new group is sealed")
		}
		time.AfterFunc(2*time.Second, func() {
			ended.Add(1)
			g.End()
		})
		start := time.Now()
		go g.Close() // each call waits
		g.Close()
		if n := ended.Load(); n != 4 || time.Since(start) != 2*time.Second {
			t.Errorf("%d of 4 have ended after %v", n, time.Since(start))
		}
	})
}

func TestGroup_NothingStartsAfterSeal(t *testing.T) {
	g := New()
	if g.Sealed() || !g.Seal() || g.Seal() || !g.Sealed() {
		t.Error("the first Seal alone seals")
	}
	if g.Begin() || g.Go(func() { t.Error("it runs") }) {
		t.Error("something began")
	}
	if g.Context().Err() != nil {
		t.Error("Seal has ended the context")
	}
	g.Close()
	if g.Context().Err() == nil {
		t.Error("Close has not ended the context")
	}
}

func TestGroup_CancelLeavesTimeForTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		stream := make(chan struct{}) // knows of no context: the owner resets it
		g.Go(func() { <-stream })
		waited := make(chan struct{})
		go func() {
			g.Wait()
			close(waited)
		}()
		synctest.Wait()
		g.Cancel()
		synctest.Wait()
		select {
		case <-waited:
			t.Error("Wait did not wait")
		default:
		}
		close(stream)
		<-waited
	})
}

func TestGroup_NothingRunsAfterClose(t *testing.T) {
	for range 100 {
		g := New()
		var running atomic.Int32
		go func() {
			for g.Go(func() { running.Add(1); defer running.Add(-1); <-g.Context().Done() }) {
			}
		}()
		g.Close()
		if n := running.Load(); n != 0 {
			t.Fatalf("%d run after Close", n)
		}
	}
}

func TestSleep_EndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := Sleep(ctx, 2*time.Second); err != nil {
			t.Error(err)
		}
		if err := Sleep(ctx, 2*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
