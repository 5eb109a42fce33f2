package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p2p-today/go2p/internal/lifecycle"
	"github.com/p2p-today/go2p/sync/internal/replica"
)

// A pipelineTest is a commit pipeline whose surroundings are the fields of the test.
type pipelineTest struct {
	*commitPipeline
	t    *testing.T
	disk func() error // is called with each durable commit, and may take its time

	mu     sync.Mutex
	log    []string // what the surroundings were asked for, in order
	events []EventKind
}

func newPipelineTest(t *testing.T) *pipelineTest {
	p := &pipelineTest{t: t, disk: func() error { return nil }}
	clock := clock{started: time.Now(), wall: time.Now}
	p.commitPipeline = newCommitPipeline(commitEnv{
		now:   clock.now,
		ready: func(context.Context) error { return nil },
		sign:  func([]byte) ([]byte, error) { return make([]byte, 64), nil },
		store: func(out replica.Effects, _ time.Duration, how durability) (func() error, error) {
			p.note("store", len(out.Changes), how)
			if how == buffered {
				return stored, nil
			}
			return p.disk, nil
		},
		publish: func(messages [][]byte) { p.note("publish", len(messages)) },
		changed: func() { p.note("changed") },
		emit:    func(ev Event) { p.events = append(p.events, ev.Kind) },
		log:     slog.New(slog.DiscardHandler),
		life:    lifecycle.New(),
	}, replica.New(replica.Rules{Self: "a", Leasing: true, Lease: time.Hour}, "", 1<<20))
	t.Cleanup(p.env.life.Close)
	return p
}

func (p *pipelineTest) note(what ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprint(what...))
}

func (p *pipelineTest) set(key string) error {
	return p.submit(p.t.Context(), &write{Update: replica.Update{Build: func(*replica.Replica) ([]replica.Op, error) {
		return []replica.Op{{Key: key, Value: "\x01"}}, nil
	}}})
}

// batch is what another copy of a writer has written: one key.
func (p *pipelineTest) batch(owner, writer, key string) *replica.Batch {
	p.t.Helper()
	copied := replica.New(replica.Rules{Self: owner, Leasing: true, Lease: time.Hour}, writer, 1<<20)
	_, messages := sealed(p.t, copied, p.env.now(), replica.Op{Key: key, Value: "\x02"})
	b, err := replica.ParseBatch(messages[0], 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *pipelineTest) wantLog(want ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.log, want) {
		p.t.Errorf("the surroundings were asked for %q, not %q", p.log, want)
	}
	p.log = nil
}

func TestCommitPipeline_StoresThenReportsThenPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTest(t)
		if err := p.set("k"); err != nil {
			t.Fatal(err)
		}
		p.wantLog("store1 1", "changed", "publish1")
		if news, missing, err := p.receive(p.batch("b", "b/000000000001", "l")); !news || missing || err != nil {
			t.Errorf("news %v, missing %v, %v", news, missing, err)
		}
		p.wantLog("store1 0", "changed")
	})
}

func TestCommitPipeline_RefusedWriteTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTest(t)
		p.receive(p.batch("b", "b/000000000001", "k"))
		p.wantLog("store1 0", "changed")
		var lease *LeaseError
		if err := p.set("k"); !errors.As(err, &lease) || lease.Owner != "b" {
			t.Errorf("a write against a lease: %v", err)
		}
		p.wantLog("publish0")
	})
}

func TestCommitPipeline_FailedStoreEndsAllChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTest(t)
		broken := errors.New("broken disk")
		p.disk = func() error { return broken }
		if err := p.set("k"); !errors.Is(err, broken) {
			t.Errorf("the write that failed: %v", err)
		}
		p.wantLog("store1 1", "changed")
		p.disk = func() error { return nil }
		if err := p.set("l"); !errors.Is(err, broken) {
			t.Errorf("a later write: %v", err)
		}
		if _, _, err := p.receive(p.batch("b", "b/000000000001", "m")); !errors.Is(err, broken) {
			t.Errorf("a batch that is received: %v", err)
		}
		if err := p.flush(); !errors.Is(err, broken) {
			t.Errorf("a flush: %v", err)
		}
		p.wantLog()
	})
}

func TestCommitPipeline_SlowStoreGathersWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTest(t)
		p.disk = func() error { time.Sleep(time.Second); return nil }
		var all sync.WaitGroup
		start := time.Now()
		for i := range 100 {
			all.Go(func() {
				if err := p.set(fmt.Sprint("key", i)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		// The disk is not waited for with the lock held.
		if news, _, err := p.receive(p.batch("b", "b/000000000001", "theirs")); !news || err != nil || time.Since(start) > 0 {
			t.Errorf("a batch during a commit: news %v, %v, after %v", news, err, time.Since(start))
		}
		all.Wait()
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("100 writes took %v: one commit for the first, one for all others", took)
		}
		p.wantLog("store1 1", "changed", "store1 0", "changed", "publish1", "store99 1", "changed", "publish1")
	})
}

func TestCommitPipeline_ClashDuringCommitWritesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTest(t)
		if err := p.set("before"); err != nil {
			t.Fatal(err)
		}
		writer := p.replica.Writer
		p.disk = func() error { time.Sleep(time.Second); return nil }
		done := make(chan error)
		go func() { done <- p.set("during") }()
		synctest.Wait()
		p.wantLog("store1 1", "changed", "publish1", "store1 1", "changed")
		p.receive(p.batch("a", writer, "before")) // the number has another value here
		synctest.Wait()
		if p.replica.Writer == writer || !slices.Equal(p.events, []EventKind{EventClash}) {
			t.Errorf("the writer is %s, was %s; events %v", p.replica.Writer, writer, p.events)
		}
		for _, key := range []string{"before", "during"} {
			if e := p.get(key); e == nil || e.Dot.Writer != p.replica.Writer {
				t.Errorf("%q is %v, not written again", key, e)
			}
		}
		p.wantLog("store2 0", "changed", "publish1")
		if err := <-done; err != nil {
			t.Errorf("the commit that was under way: %v", err)
		}
		p.wantLog("publish1")
		p.receive(p.batch("a", p.replica.Writer, "before")) // at once again, which only a member that cheats causes
		if len(p.events) != 1 {
			t.Errorf("events %v", p.events)
		}
	})
}

func TestCommitPipeline_CloseWaitsForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipelineTest(t)
		p.disk = func() error { time.Sleep(time.Second); return nil }
		for i := range 3 {
			go p.set(fmt.Sprint(i))
		}
		synctest.Wait()
		p.queue.close()
		for i := range 3 {
			if p.get(fmt.Sprint(i)) == nil {
				t.Errorf("write %d was not waited for", i)
			}
		}
		if err := p.set("late"); !errors.Is(err, ErrClosed) {
			t.Errorf("a write after the end: %v", err)
		}
	})
}
