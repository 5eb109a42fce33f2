package wire

import (
	"reflect"
	"testing"
	"time"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/chord/internal/ring"
)

var someView = &ring.View{
	Self: ring.Node{Slot: 7, Peer: "self"}, Stores: true, Ring: 9, Merges: 2, Age: time.Minute,
	Preds: []ring.Node{{Slot: 6, Peer: "p"}}, Succs: []ring.Node{{Slot: 8, Peer: "s"}, {Slot: 9, Peer: "t"}},
}

func questions(now time.Time) []*Question {
	w := home.Write{Version: home.Version{Counter: 3, Writer: "writer", Hash: home.Hash("value")}, At: now, Size: 5}
	gone := home.Write{Version: home.Version{Counter: 4, Writer: "writer", Hash: 0}, Deleted: true, At: now.Add(-time.Hour)}
	return []*Question{
		{Kind: AskGreet, K: 16, View: someView},
		{Kind: AskFind, Position: 77},
		{Kind: AskClaim, Position: 78},
		{Kind: AskDepart, View: someView},
		{Kind: AskGet, Key: "key", Role: ring.Role{Index: 4, Offset: 3}, Brief: true},
		{Kind: AskPut, Key: "key", Role: ring.Role{Index: 1, Offset: 0}, Write: w, Value: "value"},
		{Kind: AskFetch, Key: "key", Brief: true},
		{Kind: AskOffer, Key: "key", Write: gone},
		{Kind: AskPage, Selection: home.Selection{Arc: ring.Arc{From: 5, Length: 10}, First: true, Start: "a", Prefix: "b", Dead: true}, Values: true},
		{Kind: AskWatch, Run: 1, Revision: 2, Selection: home.Selection{Prefix: "p"}},
		{Kind: AskPrepare, Key: "key", Role: ring.Role{Index: 0, Offset: 1}, Brief: true, Write: home.Write{Version: home.Version{Counter: 5, Writer: "w", Hash: 0}}},
		{Kind: AskCount},
	}
}

func replies(now time.Time) []*Reply {
	w := home.Write{Version: home.Version{Counter: 3, Writer: "writer", Hash: home.Hash("value")}, At: now, Size: 5}
	gone := home.Write{Version: home.Version{Counter: 4, Writer: "writer", Hash: 0}, Deleted: true, At: now.Add(-time.Hour)}
	next := []ring.Node{{Slot: 1, Peer: "next"}}
	return []*Reply{
		{Kind: SayView, Owns: true, View: someView, Next: next},
		{Kind: SayRefused, K: 6},
		{Kind: SayClaim, Verdict: ring.Busy, View: someView, Next: next},
		{Kind: SayNotMine, View: someView, Next: next},
		{Kind: SayVersion, Backfilling: true, Replicas: 5, Write: w, Value: "value", Whole: true},
		{Kind: SayVersion, Replicas: 1, Write: gone},
		{Kind: SayOutcome, Backfilling: true, Replicas: 3, Outcome: home.Full, Write: home.Write{Version: w.Version}},
		{Kind: SayPage, Backfilling: true, More: true, Start: "next", Entries: []home.Entry{{Key: "a", Write: w, Value: "value"}, {Key: "b", Write: gone, Value: ""}}},
		{Kind: SayPage},
		{Kind: SayChanges, Run: 1, Revision: 2, Missed: true, Entries: []home.Entry{{Key: "a", Write: w, Value: "value"}}},
		{Kind: SayFailed, Text: "no"},
		{Kind: SayCount, Backfilling: true, Count: 12},
	}
}

// Every question and answer is read as it was written.
func TestWire_ReadsWhatItWrites(t *testing.T) {
	now := time.UnixMilli(1e12)
	for _, want := range questions(now) {
		id, got, err := ScanQuestion(want.Append(nil, 5, now), now)
		if err == nil && got.Kind != AskPut && got.Kind != AskOffer {
			got.Write.At = want.Write.At
		}
		if err != nil || id != 5 || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
	for _, want := range replies(now) {
		id, got, err := ScanReply(want.Append(nil, 5, now), now)
		if err == nil && want.Kind != SayVersion {
			got.Write.At = want.Write.At
		}
		if err != nil || id != 5 || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
}

func FuzzQuestion(f *testing.F) {
	now := time.UnixMilli(1e12)
	for _, q := range questions(now) {
		f.Add(q.Append(nil, 1, now))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, q, err := ScanQuestion(data, now)
		if err != nil {
			return
		}
		again := q.Append(nil, id, now)
		if _, same, err := ScanQuestion(again, now); err != nil || !reflect.DeepEqual(q, same) {
			t.Errorf("%+v became %+v, %v", q, same, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	now := time.UnixMilli(1e12)
	for _, a := range replies(now) {
		f.Add(a.Append(nil, 1, now))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, a, err := ScanReply(data, now)
		if err != nil {
			return
		}
		again := a.Append(nil, id, now)
		if _, same, err := ScanReply(again, now); err != nil || !reflect.DeepEqual(a, same) {
			t.Errorf("%+v became %+v, %v", a, same, err)
		}
	})
}
