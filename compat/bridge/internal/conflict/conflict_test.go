package conflict

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func ids(list []Loser) (ids []string) {
	for _, v := range list {
		ids = append(ids, v.ID)
	}
	return ids
}

func TestLosers_AreRememberedForTheirLease(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := Losers{}
	l.Add(now, "key", Loser{ID: "a", Text: true})
	l.Add(now.Add(30*time.Minute), "key", Loser{ID: "b"})
	l.Add(now.Add(30*time.Minute), "another", Loser{ID: "c"})
	if got := l.others(now.Add(time.Hour), "key", ""); !slices.Equal(ids(got), []string{"a", "b"}) || !got[0].Text || got[1].Text {
		t.Errorf("%+v", got)
	}
	if got := ids(l.others(now.Add(time.Hour), "key", "b")); !slices.Equal(got, []string{"a"}) {
		t.Error("but for b:", got)
	}
	if got := ids(l.others(now.Add(time.Hour+time.Second), "key", "")); !slices.Equal(got, []string{"b"}) {
		t.Error("after an hour:", got)
	}
	if got := ids(l.Written(now.Add(time.Hour), "key", "b", false)); !slices.Equal(got, []string{"a"}) {
		t.Error("others than b are", got)
	}
	if got := ids(l.others(now.Add(2*time.Hour), "key", "")); !slices.Equal(got, []string{"a", "b"}) {
		t.Error("an hour after both were written:", got)
	}
	if got := ids(l.Written(now.Add(2*time.Hour), "key", "b", true)); !slices.Equal(got, []string{"a"}) {
		t.Error("others than b are", got)
	}
	if got := l.others(now.Add(2*time.Hour), "key", ""); len(got) != 0 {
		t.Errorf("after a delete: %+v", got)
	}
	l.Add(now, "key", Loser{ID: "a"})
	l.Written(now.Add(2*time.Hour), "key", "b", false)
	if got := l.others(now.Add(2*time.Hour), "key", ""); len(got) != 0 {
		t.Errorf("written when its lease was over: %+v", got)
	}
}

func TestLosers_AreBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := Losers{}
	for i := range 2 * MaxLosers {
		l.Add(now, "key", Loser{ID: fmt.Sprint(i)})
	}
	if got := ids(l["key"]); len(got) != MaxLosers || got[0] != fmt.Sprint(MaxLosers) {
		t.Error("of too many stay", got)
	}
	for i := range 2 * maxKeys {
		l.Add(now, fmt.Sprint("key ", i), Loser{ID: "a"})
	}
	if len(l) > maxKeys {
		t.Errorf("of %d keys", len(l))
	}
}
