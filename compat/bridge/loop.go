package bridge

import (
	"context"
	"time"
)

// sleep waits, and reports whether the context has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// trySend sends without blocking, and reports whether there was room.
func trySend[T any](c chan<- T, v T) bool {
	select {
	case c <- v:
		return true
	default:
		return false
	}
}

// next waits for what a channel has next. It reports false if the context has ended.
func next[T any](ctx context.Context, c <-chan T) (v T, ok bool) {
	select {
	case <-ctx.Done():
		return v, false
	case v = <-c:
		return v, true
	}
}
