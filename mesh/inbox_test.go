package mesh

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"
)

func fill(t *testing.T, q *inbox, kind Kind, n, size int) {
	t.Helper()
	for i := range n {
		msg := Message{Kind: kind, size: size, seq: uint64(i), From: peer.ID("abcd"[i%4])}
		if kind == Broadcast {
			if dropped := q.tryEnqueue(msg); dropped != nil {
				t.Fatalf("%d was dropped", dropped[0].seq)
			}
		} else if err := q.enqueue(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBroadcastsCrowdOutTheOldest(t *testing.T) {
	q := newInbox()
	fill(t, q, Whisper, 1, 0)
	fill(t, q, Broadcast, inboxMessages-1, 0)
	if dropped := q.tryEnqueue(Message{Kind: Broadcast}); len(dropped) != 1 || dropped[0].seq != 0 || dropped[0].Kind != Broadcast {
		t.Errorf("dropped %v", dropped)
	}
	if msg, err := q.dequeue(t.Context()); err != nil || msg.Kind != Whisper {
		t.Errorf("the whisper was dropped: %v, %v", msg, err)
	}
	if msg, err := q.dequeue(t.Context()); err != nil || msg.seq != 1 {
		t.Errorf("after the dropped one came %v, %v", msg, err)
	}
}

func TestInboxIsBoundedInBytes(t *testing.T) {
	q := newInbox()
	fill(t, q, Broadcast, inboxBytes/MaxMessage, MaxMessage)
	if dropped := q.tryEnqueue(Message{Kind: Broadcast, size: 2}); len(dropped) != 1 {
		t.Errorf("dropped %d", len(dropped))
	}
	if q.used.bytes > inboxBytes {
		t.Errorf("%d bytes", q.used.bytes)
	}
}

// Whoever takes most room makes room.
func TestFloodersCrowdOutThemselves(t *testing.T) {
	q := newInbox()
	const quiet = 20
	fill(t, q, Broadcast, quiet, 100)
	flood := func(from peer.ID, size, n int) {
		for i := range n {
			for _, lost := range q.tryEnqueue(Message{Kind: Broadcast, From: from, size: size, seq: uint64(i)}) {
				if lost.From != "flood" && lost.From != "bulk" {
					t.Fatalf("a message of %q was dropped", lost.From)
				}
			}
		}
	}
	flood("flood", 10, 3*inboxMessages)
	flood("bulk", MaxMessage, 100)
	flood("flood", 10, inboxMessages)
	for i := range quiet {
		if msg, err := q.dequeue(t.Context()); err != nil || msg.seq != uint64(i) {
			t.Fatalf("the %d. is %v, %v", i, msg, err)
		}
	}
	for q.used.messages > 0 {
		q.dequeue(t.Context())
	}
	if len(q.broadcasts) != 0 || q.used.bytes != 0 {
		t.Errorf("an empty inbox has %v, %v", q.broadcasts, q.used)
	}
}

func TestWhispersWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newInbox()
		fill(t, q, Whisper, inboxMessages, 0) // a quarter each of four authors
		if dropped := q.tryEnqueue(Message{Kind: Broadcast, seq: 7}); len(dropped) != 1 || dropped[0].seq != 7 {
			t.Errorf("a broadcast dropped %v", dropped)
		}
		in := false
		go func() {
			if err := q.enqueue(t.Context(), Message{Kind: Whisper, From: "a"}); err != nil {
				t.Error(err)
			}
			in = true
		}()
		synctest.Wait()
		if in {
			t.Fatal("it found room in a full inbox")
		}
		if _, err := q.dequeue(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !in {
			t.Error("it did not notice that there is room")
		}
		full, stop := context.WithCancel(t.Context())
		stop()
		if _, err := q.dequeue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.enqueue(full, Message{Kind: Whisper, From: "c"}); err == nil {
			t.Error("an author got more than its quarter")
		}
		if err := q.enqueue(full, Message{Kind: Whisper, From: "e"}); err != nil {
			t.Error("another one got no room:", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.enqueue(ctx, Message{Kind: Whisper}); err == nil {
			t.Error("it outlived its context")
		}
	})
}
