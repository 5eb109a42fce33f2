package workqueue

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/p2p-today/go2p/compat/bridge/internal/conflict"
	"github.com/p2p-today/go2p/compat/internal/legacy"
)

var (
	added   = Cause{Native: true, Version: 2}
	deleted = Cause{Native: true, Version: 3, Deleted: true}
	set     = Cause{Old: true, Owner: "a"}
	gone    = Cause{Old: true, OldDeleted: true}
)

func lost(senders ...string) (c Cause) {
	for i, sender := range senders {
		c.Lost = append(c.Lost, legacy.WriteConflict{Sender: sender, Time: int64(i)})
	}
	return c
}

// None of several causes to look at a key gets lost, and the last one counts.
func TestQueue_MergesCausesInOrder(t *testing.T) {
	many := make([]string, conflict.MaxLosers+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct{ first, later, want Cause }{
		"versions":           {added, deleted, deleted},
		"behind each other":  {deleted, added, deleted},
		"both sides":         {gone, added, Cause{Native: true, Version: 2, Old: true, OldDeleted: true}},
		"the old side twice": {gone, set, set},
		"lost, and changed":  {lost("a"), set, Cause{Old: true, Owner: "a", Lost: lost("a").Lost}},
		"changed, and lost":  {set, lost("a"), Cause{Old: true, Owner: "a", Lost: lost("a").Lost}},
		"two have lost":      {lost("a"), lost("b"), Cause{Lost: append(lost("a").Lost, lost("b").Lost...)}},
		"one has lost twice": {lost("b", "a"), lost("a"), Cause{Lost: append(lost("b").Lost, lost("a").Lost...)}},
		"too many":           {Cause{}, lost(many...), Cause{Lost: lost(many...).Lost[1:]}},
		"again":              {Cause{Old: true, Again: true}, added, Cause{Native: true, Version: 2, Old: true}},
	} {
		q := New()
		q.Add("key", c.first)
		q.Add("key", c.later)
		if key, got, ok := q.Take(); key != "key" || !reflect.DeepEqual(got, c.want) || !ok {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
		q.Add("key", c.later)
		q.AddAgain("key", c.first)
		if _, got, ok := q.Take(); !reflect.DeepEqual(got, c.want) || !ok {
			t.Errorf("%s, again: %+v, %v", name, got, ok)
		}
		if len(q.order)+len(q.causes) != 0 {
			t.Errorf("%s: there is more to do", name)
		}
	}
}

func TestQueue_IsFairAndStingy(t *testing.T) {
	q := New()
	for _, key := range []string{"a", "b", "a", "c", "b"} {
		q.Add(key, set)
	}
	for _, want := range []string{"a", "b", "c"} {
		if key, _, ok := q.Take(); key != want || !ok {
			t.Errorf("%q, not %q", key, want)
		}
	}
	if _, _, ok := q.Take(); ok || q.Len() != 0 {
		t.Error("there is more")
	}
}

func TestCause_AheadOfWhatTheTableShows(t *testing.T) {
	for _, c := range []struct {
		cause   Cause
		held    bool
		version uint64
		want    bool
	}{
		{added, true, 2, false}, {added, true, 3, false}, {added, true, 1, true}, {added, false, 0, true},
		{deleted, false, 0, false}, {deleted, true, 2, true}, {deleted, true, 4, false}, {set, false, 0, false}, {set, true, 1, false},
	} {
		if got := c.cause.Ahead(c.held, c.version); got != c.want {
			t.Errorf("%+v is ahead of %v %d: %v", c.cause, c.held, c.version, got)
		}
	}
}
