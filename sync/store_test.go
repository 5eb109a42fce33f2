package sync

import (
	crand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/internal/kvstore"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

func mustOpen(t *testing.T, files vfs.FS) (*store, *replica.Replica) {
	t.Helper()
	r := storedReplica("a")
	s, err := openStore("store", files, slog.New(slog.DiscardHandler), r)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func storedReplica(id string) *replica.Replica {
	return replica.New(replica.Rules{Self: id, Lease: time.Hour}, replica.WriterName(id, 1), 1<<40)
}

// sealed has a replica write something, and returns the messages for others. The
// signatures are hashes.
func sealed(t testing.TB, r *replica.Replica, now replica.Instant, ops ...replica.Op) (out replica.Effects, messages [][]byte) {
	t.Helper()
	u := replica.Update{Build: func(*replica.Replica) ([]replica.Op, error) { return ops, nil }}
	out = r.Write(now, &u)
	messages, err := r.Seal(now, out.Written, crand.Reader, func(body []byte) ([]byte, error) {
		sum := sha256.Sum256(body)
		return sum[:], nil
	})
	if err := errors.Join(u.Err, err); err != nil {
		t.Fatal(err)
	}
	return out, messages
}

// provesAll checks that a replica can hand on each of its records with its proof.
func provesAll(t *testing.T, r *replica.Replica, now replica.Instant) {
	t.Helper()
	late := storedReplica("late")
	sides := [2]*replica.Reconciliation{replica.NewReconciliation(late), replica.NewReconciliation(r)}
	start := sides[0].Start(make([]byte, replica.SaltLength))
	frames := [][]byte{start.Append(nil)}
	for at := 1; len(frames) > 0; at = 1 - at {
		var next replica.Step
		for _, f := range frames {
			m, err := replica.ParseMessage(f, now.Count)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range m.Proofs {
				if err := b.Verify(func(_ string, body, sig []byte) bool {
					sum := sha256.Sum256(body)
					return string(sum[:]) == string(sig)
				}); err != nil {
					t.Fatal(err)
				}
			}
			if next, err = sides[at].Receive(now, m); err != nil {
				t.Fatal(err)
			}
		}
		frames = nil
		for len(next.Records) > 0 {
			var body []byte
			body, next.Records = replica.AppendChunk(next.Records, now.Count)
			frames = append(frames, body)
		}
		if next.Reply != nil {
			frames = append(frames, next.Reply.Append(nil))
		}
	}
	if late.State() != r.State() {
		t.Fatalf("a late joiner has %s of %s", late.State(), r.State())
	}
}

// P7: whatever is lost of what was not synced, at whatever moment, all that was
// acknowledged is there, and what is there is what the replica was at some moment.
func TestStore_CrashesLoseNothingAcknowledged(t *testing.T) {
	crashes := 60
	if os.Getenv("GO2P_LONG") == "1" {
		crashes = 2000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	now := replica.Instant{Count: time.Minute, Wall: time.UnixMilli(0)}
	files := vfs.NewCrashableMem()
	s, r := mustOpen(t, files)
	other := storedReplica("b")
	states := map[string]uint64{r.State(): 0} // numbers of writes, by what they led to
	var written, acknowledged uint64
	act := func() (out replica.Effects, own bool) {
		key := fmt.Sprint("key", rng.IntN(40))
		writer := r
		if rng.IntN(3) == 0 {
			writer = other
		}
		var ops []replica.Op
		for i := range 1 + rng.IntN(5) {
			o := replica.Op{Key: fmt.Sprint(key, i), Value: string(byte(rng.IntN(24)))}
			if writer.Get(o.Key) != nil && rng.IntN(3) == 0 {
				o.Value, o.Delete = "", true
			}
			ops = append(ops, o)
		}
		out, messages := sealed(t, writer, now, ops...)
		if writer == r {
			return out, true
		}
		there, err := replica.ParseBatch(messages[0], now.Count)
		if err != nil {
			t.Fatal(err)
		}
		return r.Receive(now, there.Records()), rng.IntN(2) == 0
	}
	for crash := range crashes {
		for range rng.IntN(30) {
			out, waits := act()
			now.Count += time.Second
			wait, err := s.write(out, now.Count, durable)
			if err != nil {
				t.Fatal(err)
			}
			written++
			states[r.State()] = written
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
		s.Close()
		files = crashed
		s, r = mustOpen(t, files)
		at, ok := states[r.State()]
		if !ok || at < acknowledged {
			t.Fatalf("crash %d: found the state of write %d (known: %v), acknowledged %d of %d", crash, at, ok, acknowledged, written)
		}
		if at == written && r.Usage() != before.Usage() {
			t.Fatalf("crash %d: the same records, but %+v, not %+v", crash, r.Usage(), before.Usage())
		}
		provesAll(t, r, now)
		// What the crash took of the other does not come back, so that it gets another name.
		other = storedReplica(fmt.Sprint("b", crash))
		written, acknowledged, states = 0, 0, map[string]uint64{r.State(): 0}
	}
	s.Close()
}

// A store of a newer program is refused, and a damaged one is named, and neither is
// changed.
func TestStore_UnreadableIsNamedAndRefused(t *testing.T) {
	newer := vfs.NewMem()
	s, _ := mustOpen(t, newer)
	damage(t, s, []byte{kvstore.FormatRow}, []byte{storeFormat + 1})
	s.Close()
	quiet := slog.New(slog.DiscardHandler)
	if _, err := openStore("store", newer, quiet, storedReplica("a")); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a newer store: %v", err)
	}

	for _, kind := range replica.RowKinds {
		files := vfs.NewMem()
		s, r := mustOpen(t, files)
		out, _ := sealed(t, r, replica.Instant{}, replica.Op{Key: "k", Value: "\x01"})
		if _, err := s.write(out, 0, buffered); err != nil {
			t.Fatal(err)
		}
		damage(t, s, []byte{kind, 'k'}, []byte{0xff})
		s.Close()
		if _, err := openStore("store", files, quiet, storedReplica("a")); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "store cannot be read") {
			t.Errorf("with a damaged row of kind %c: %v", kind, err)
		}
	}
}

func damage(t *testing.T, s *store, key, value []byte) {
	t.Helper()
	tx := s.NewBatch()
	tx.Set(key, value)
	if err := s.Commit(tx, true); err != nil {
		t.Fatal(err)
	}
}

// A million keys are there in a few seconds.
func BenchmarkLoad(b *testing.B) {
	files := vfs.NewMem()
	quiet := slog.New(slog.DiscardHandler)
	r := storedReplica("a")
	s, err := openStore("store", files, quiet, r)
	if err != nil {
		b.Fatal(err)
	}
	const n = 100_000
	for first := 0; first < n; first += 256 {
		var ops []replica.Op
		for i := range 256 {
			ops = append(ops, replica.Op{Key: fmt.Sprintf("sensor/%08x/value", uint32(first+i)*2654435761), Value: string(make([]byte, 100))})
		}
		out, _ := sealed(b, r, replica.Instant{}, ops...)
		if _, err := s.write(out, 0, buffered); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s.Close()
		if s, err = openStore("store", files, quiet, storedReplica("a")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
}
