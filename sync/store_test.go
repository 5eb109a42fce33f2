package sync

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func mustOpen(t *testing.T, files vfs.FS) (*store, *replica) {
	t.Helper()
	s, err := openStore("store", files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := testReplica("a")
	if err := s.load(r); err != nil {
		t.Fatal(err)
	}
	return s, r
}

// P7: whatever is lost of what was not synced, at whatever moment, all that was
// acknowledged is there, and what is there is what the replica was at some moment.
func TestCrashesLoseNothingAcknowledged(t *testing.T) {
	crashes := 60
	if os.Getenv("GO2P_LONG") == "1" {
		crashes = 2000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	now := instant{time.Minute, time.UnixMilli(0)}
	files := vfs.NewCrashableMem()
	s, r := mustOpen(t, files)
	other := testReplica("b")
	states := map[string]uint64{r.state(): 0} // numbers of writes, by what they led to
	var written, acknowledged uint64
	act := func() (out effects, own bool) {
		key := fmt.Sprint("key", rng.IntN(40))
		writer := r
		if rng.IntN(3) == 0 {
			writer = other
		}
		var ops []op
		for i := range 1 + rng.IntN(5) {
			o := op{key: fmt.Sprint(key, i), value: fmt.Sprint(rng.IntN(1000))}
			if writer.tree.get(o.key) != nil && rng.IntN(3) == 0 {
				o.value, o.delete = "", true
			}
			ops = append(ops, o)
		}
		entries, err := writer.plan(now, ops)
		if err != nil {
			t.Fatal(err)
		}
		b := newBatch(writer.writer, digest{9}, entries)
		b.sig = make([]byte, 64)
		if writer == r {
			r.commit(now, entries, &out)
			return out, true
		}
		data := b.append(nil, upTo(len(entries)), now.count)
		other.commit(now, entries, &effects{})
		there, err := received(data, now.count)
		if err != nil {
			t.Fatal(err)
		}
		return r.receive(now, there.leaves), rng.IntN(2) == 0
	}
	for crash := range crashes {
		for range rng.IntN(30) {
			out, waits := act()
			now.count += time.Second
			wait, err := s.begin(out, now.count)
			if err != nil {
				t.Fatal(err)
			}
			written++
			states[r.state()] = written
			if waits {
				if err := wait(); err != nil {
					t.Fatal(err)
				}
				acknowledged = written
			} else {
				go wait()
			}
		}
		crashed := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		before := r
		s.close()
		files = crashed
		s, r = mustOpen(t, files)
		at, ok := states[r.state()]
		if !ok || at < acknowledged {
			t.Fatalf("crash %d: found the state of write %d (known: %v), acknowledged %d of %d", crash, at, ok, acknowledged, written)
		}
		if at == written && (r.top != before.top || r.bytes != before.bytes) {
			t.Fatalf("crash %d: the same records, but top %d, not %d; bytes %d, not %d", crash, r.top, before.top, r.bytes, before.bytes)
		}
		for e := range r.tree.all(span{}) {
			if b := e.batch; b.leaves[e.leaf] != e || len(b.toSign()) == 0 {
				t.Fatalf("crash %d: %q has no proof", crash, e.key)
			}
		}
		// What the crash took of the other does not come back, so that it gets another name.
		other = testReplica(fmt.Sprint("b", crash))
		written, acknowledged, states = 0, 0, map[string]uint64{r.state(): 0}
	}
	s.close()
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// A store of a newer program is refused, and a damaged one is named, and neither is
// changed.
func TestStoresThatCannotBeRead(t *testing.T) {
	newer := vfs.NewMem()
	s, _ := mustOpen(t, newer)
	if err := s.db.Set([]byte{rowFormat}, []byte{storeFormat + 1}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	s.close()
	if _, err := openStore("store", newer, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a newer store: %v", err)
	}

	for _, row := range []byte{rowClock, rowSeen, rowBatch, rowRecord} {
		files := vfs.NewMem()
		s, r := mustOpen(t, files)
		set(t, instant{}, []op{{key: "k", value: "v"}}, r)
		if err := s.write(effects{changes: []change{{key: "k", new: r.tree.get("k")}}}, 0, false); err != nil {
			t.Fatal(err)
		}
		if err := s.db.Set(rowKey(row, "k"), []byte{0xff}, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		s.close()
		s, err := openStore("store", files, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.load(testReplica("a")); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "store cannot be read") {
			t.Errorf("with a damaged row of kind %c: %v", row, err)
		}
		s.close()
	}
}

// A million keys are there in a few seconds.
func BenchmarkLoad(b *testing.B) {
	files := vfs.NewMem()
	s, err := openStore("store", files, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	r := testReplica("a")
	const n = 100_000
	for first := 0; first < n; first += maxBatch {
		var ops []op
		for i := range maxBatch {
			ops = append(ops, op{key: fmt.Sprintf("sensor/%08x/value", uint32(first+i)*2654435761), value: string(make([]byte, 100))})
		}
		entries, err := r.plan(instant{}, ops)
		if err != nil {
			b.Fatal(err)
		}
		newBatch(r.writer, digest{}, entries).sig = make([]byte, 64)
		var out effects
		r.commit(instant{}, entries, &out)
		if err := s.write(out, 0, false); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := s.load(testReplica("a")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
}
