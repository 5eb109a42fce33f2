package chord

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

var someView = &view{
	self: node{7, "self"}, stores: true, ring: 9, merges: 2, age: time.Minute,
	preds: []node{{6, "p"}}, succs: []node{{8, "s"}, {9, "t"}},
}

func questions(now time.Time) []*question {
	w := write{version: version{3, "writer", valueHash("value")}, at: now, size: 5}
	gone := write{version: version{4, "writer", 0}, deleted: true, at: now.Add(-time.Hour)}
	return []*question{
		{kind: askGreet, k: 16, view: someView},
		{kind: askFind, position: 77},
		{kind: askClaim, position: 78},
		{kind: askDepart, view: someView},
		{kind: askGet, key: "key", role: role{4, 3}, brief: true},
		{kind: askPut, key: "key", role: role{1, 0}, write: w, value: "value"},
		{kind: askFetch, key: "key", brief: true},
		{kind: askOffer, key: "key", write: gone},
		{kind: askPage, sel: selection{arc: arc{5, 10}, first: true, start: "a", prefix: "b", dead: true}, values: true},
		{kind: askWatch, run: 1, revision: 2, sel: selection{prefix: "p"}},
		{kind: askPrepare, key: "key", role: role{0, 1}, brief: true, write: write{version: version{5, "w", 0}}},
		{kind: askCount},
	}
}

func replies(now time.Time) []*reply {
	w := write{version: version{3, "writer", valueHash("value")}, at: now, size: 5}
	gone := write{version: version{4, "writer", 0}, deleted: true, at: now.Add(-time.Hour)}
	next := []node{{1, "next"}}
	return []*reply{
		{kind: sayView, owns: true, view: someView, next: next},
		{kind: sayRefused, k: 6},
		{kind: sayClaim, verdict: busy, view: someView, next: next},
		{kind: sayNotMine, view: someView, next: next},
		{kind: sayHeld, filling: true, homes: 5, write: w, value: "value", whole: true},
		{kind: sayHeld, homes: 1, write: gone},
		{kind: sayDone, filling: true, homes: 3, outcome: full, write: write{version: w.version}},
		{kind: sayPage, filling: true, more: true, start: "next", entries: []entry{{"a", w, "value"}, {"b", gone, ""}}},
		{kind: sayPage},
		{kind: sayChanges, run: 1, revision: 2, missed: true, entries: []entry{{"a", w, "value"}}},
		{kind: sayFailed, text: "no"},
		{kind: sayCount, filling: true, count: 12},
	}
}

// Every question and answer is read as it was written.
func TestWire(t *testing.T) {
	now := time.UnixMilli(1e12)
	for _, want := range questions(now) {
		id, got, err := scanQuestion(want.append(nil, 5, now), now)
		if err == nil && got.kind != askPut && got.kind != askOffer {
			got.write.at = want.write.at
		}
		if err != nil || id != 5 || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
	for _, want := range replies(now) {
		id, got, err := scanReply(want.append(nil, 5, now), now)
		if err == nil && want.kind != sayHeld {
			got.write.at = want.write.at
		}
		if err != nil || id != 5 || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
}

func FuzzQuestion(f *testing.F) {
	now := time.UnixMilli(1e12)
	for _, q := range questions(now) {
		f.Add(q.append(nil, 1, now))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, q, err := scanQuestion(data, now)
		if err != nil {
			return
		}
		again := q.append(nil, id, now)
		if _, same, err := scanQuestion(again, now); err != nil || !reflect.DeepEqual(q, same) {
			t.Errorf("%+v became %+v, %v", q, same, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	now := time.UnixMilli(1e12)
	for _, a := range replies(now) {
		f.Add(a.append(nil, 1, now))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, a, err := scanReply(data, now)
		if err != nil {
			return
		}
		again := a.append(nil, id, now)
		if _, same, err := scanReply(again, now); err != nil || !reflect.DeepEqual(a, same) {
			t.Errorf("%+v became %+v, %v", a, same, err)
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add(appendRow(nil, write{version: version{1, "w", 2}, at: time.UnixMilli(5)}, "value"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, value, err := scanRow(data)
		if err != nil {
			return
		}
		if again := appendRow(nil, w, string(value)); !bytes.Equal(again, data) {
			t.Errorf("%x became %x", data, again)
		}
	})
}
