package compat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/p2p-today/go2p/compat/internal/legacy"
)

func TestOutbox_IsFullOfFramesOrBytes(t *testing.T) {
	o := newOutbox()
	for i := range maxQueue {
		if !o.put(legacy.Frame{Body: []byte("x")}) {
			t.Fatalf("no room after %d frames", i)
		}
	}
	if o.put(legacy.Frame{Body: []byte("x")}) {
		t.Error("room for more frames than there may be")
	}
	o = newOutbox()
	large := legacy.Frame{Body: make([]byte, maxQueueBytes+1)}
	if !o.put(large) || o.put(legacy.Frame{Body: []byte("x")}) {
		t.Error("a large frame is alone in an outbox")
	}
}

func TestOutbox_WaitersGoOnWhenHalfIsTakenOrItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ends := range []bool{true, false} {
			o := newOutbox()
			for range maxQueue {
				o.put(legacy.Frame{Body: []byte("x")})
			}
			done := make(chan error, 1)
			go func() { done <- o.awaitRoom(t.Context()) }()
			synctest.Wait()
			if len(done) > 0 {
				t.Error("does not wait for room")
			}
			if ends {
				o.end(ErrSlow)
			}
			for range maxQueue / 2 {
				if !ends {
					o.take()
				}
			}
			synctest.Wait()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		o := newOutbox()
		for range maxQueue {
			o.put(legacy.Frame{Body: []byte("x")})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := o.awaitRoom(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the context has ended: %v", err)
		}
	})
}

func TestOutbox_AnswersGoAheadWhileTheNodeIsAsked(t *testing.T) {
	o := newOutbox()
	o.put(legacy.Frame{Body: []byte("first")})
	o.put(legacy.Frame{Body: []byte("answer"), Answer: true})
	if _, enough := o.takeAnswer(0); !enough {
		t.Error("waits though nothing was asked")
	}
	o.ask()
	if f, enough := o.takeAnswer(0); enough || string(f.Body) != "answer" {
		t.Errorf("takes %q, enough %v", f.Body, enough)
	}
	if f, enough := o.takeAnswer(0); enough || f.Body != nil {
		t.Errorf("takes %q, enough %v", f.Body, enough)
	}
	o.answered()
	if f, over := o.take(); string(f.Body) != "first" || over {
		t.Errorf("takes %q, over %v", f.Body, over)
	}
	if !o.end(ErrSlow) || o.end(ErrClosed) || o.reason() != ErrSlow {
		t.Errorf("ends for %v", o.reason())
	}
}
