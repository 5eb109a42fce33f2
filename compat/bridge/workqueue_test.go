package bridge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

func TestWorkQueue_NativeChangesWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkQueue()
		for i := range maxNativeWork {
			if err := w.addNative(t.Context(), fmt.Sprint("key ", i), cause{}); err != nil {
				t.Fatal(err)
			}
		}
		w.addOld("old", cause{Old: true}) // does not wait
		added := false
		go func() {
			if err := w.addNative(t.Context(), "late", cause{}); err != nil {
				t.Error(err)
			}
			added = true
		}()
		for i := range 2 {
			synctest.Wait()
			if added {
				t.Fatal("it was added though there was no room")
			}
			if key, c, err := w.take(t.Context()); key != fmt.Sprint("key ", i) || !c.Native || err != nil {
				t.Fatal(key, c, err)
			}
		}
		synctest.Wait()
		if !added {
			t.Error("it still waits")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.addNative(ctx, "another", cause{}); !errors.Is(err, context.Canceled) {
			t.Errorf("it does not end with the context: %v", err)
		}
	})
}

func TestWorkQueue_TakeWaitsForAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkQueue()
		taken := make(chan string)
		go func() {
			key, _, err := w.take(t.Context())
			if err != nil {
				t.Error(err)
			}
			taken <- key
		}()
		synctest.Wait()
		w.addOld("key", cause{Old: true})
		if key := <-taken; key != "key" {
			t.Errorf("%q was taken", key)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := w.take(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("it does not end with the context: %v", err)
		}
	})
}
