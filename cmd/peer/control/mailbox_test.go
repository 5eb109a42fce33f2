package control

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/p2p-today/go2p/mesh"
)

func put(b *Mailbox, from, to int) {
	for i := from; i < to; i++ {
		b.Put(context.Background(), mesh.Message{ID: fmt.Sprint(i)})
	}
}

func TestMailbox_KeepsTheLast(t *testing.T) {
	var b Mailbox
	put(&b, 0, maxKept+10)
	if _, ok := b.find("9"); ok {
		t.Error("a message that fell out is found")
	}
	if got := b.take(3); len(got) != 3 || got[0].ID != "10" {
		t.Errorf("took %v", got)
	}
	if _, ok := b.find("10"); !ok {
		t.Error("a message that was taken cannot be replied to")
	}
	if got := b.take(0); len(got) != maxKept-3 {
		t.Errorf("took %d of the rest", len(got))
	}
	if b.len() != 0 {
		t.Errorf("%d wait", b.len())
	}
}

func TestMailbox_FollowersGetAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Mailbox
		put(&b, 0, 2)
		if taken, f := b.follow(2); len(taken) != 2 || f != nil {
			t.Errorf("enough waited: %v, %v", taken, f)
		}
		put(&b, 2, 3)
		taken, one := b.follow(0)
		_, two := b.follow(5)
		if len(taken) != 1 || taken[0].ID != "2" {
			t.Errorf("took %v", taken)
		}
		put(&b, 3, 4)
		for _, f := range []*follower{one, two} {
			if msg := <-f.queue; msg.ID != "3" {
				t.Errorf("followed %v", msg)
			}
		}
		if b.len() != 0 {
			t.Error("what somebody followed waits, too")
		}
		b.unfollow(one, nil)
		put(&b, 0, maxBehind+1) // nobody reads two, and what it was too late for waits
		for range maxBehind {
			<-two.queue
		}
		if _, open := <-two.queue; open {
			t.Error("a follower that does not read was not ended")
		}
		put(&b, 0, 1)
		if b.len() != 2 {
			t.Error("without followers nothing waits")
		}
	})
}

// What a reader did not get waits for the next, unless another one follows.
func TestMailbox_TakesBackWhatWasNotRead(t *testing.T) {
	var b Mailbox
	put(&b, 0, 2)
	b.unfollow(nil, b.take(1))
	_, one := b.follow(0)
	_, two := b.follow(0)
	put(&b, 2, 4)
	failed := <-one.queue
	b.unfollow(one, []mesh.Message{failed})
	if b.len() != 0 {
		t.Error("what somebody else follows waits, too")
	}
	<-two.queue
	b.unfollow(two, nil)
	if got := b.take(0); len(got) != 1 || got[0].ID != "3" {
		t.Errorf("%v wait", got)
	}
}
