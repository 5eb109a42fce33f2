package bridge

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/p2p-today/go2p/compat/bridge/internal/conflict"
	"github.com/p2p-today/go2p/compat/internal/legacy"
	"github.com/p2p-today/go2p/compat/internal/wire"
	p2psync "github.com/p2p-today/go2p/sync"
)

// What the sync portal of one or more bridges does, as stories. Each story is one old network of 0.7 and one native
// dictionary, both simulated; portals, elections and time are real and virtual. The commands:
//
//	old NAME…                 old nodes, each with a dictionary of its own
//	bridge NAME…              bridges, each with a node in the old network
//	native NAME KEY [VALUE]   a native peer writes a key, or deletes it
//	write NAME KEY [VALUE]    an old node writes a key, or deletes it; nobody hears of it until the next run
//	work                      bridges work, and nothing is delivered
//	run                       all is delivered, and bridges work until they have nothing to do
//	show                      what everybody has
//	wait DURATION             time passes, in which bridges announce themselves
//	crash NAME                a bridge ends without a word
func TestSyncPortal_Stories(t *testing.T) {
	files, err := filepath.Glob("testdata/bridge/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &story{start: time.Now(), names: map[string]string{}, items: map[string]p2psync.Item{}, heard: map[string]bool{}}
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					s.log.Reset()
					s.do(t, d)
					if s.log.Len() == 0 {
						return "nothing\n"
					}
					return s.log.String()
				})
			})
		})
	}
}

var storyNetwork = network{subnet: "lab", id: "lab", version: wire.V7}

// A story is a simulated old network and native dictionary, and the bridges between them.
type story struct {
	start time.Time
	log   strings.Builder
	names map[string]string // of ghosts

	items   map[string]p2psync.Item // native
	stores  []*storyStore           // of old nodes and of bridges
	bridges []*storyBridge
	said    []storyWrite    // and not delivered
	heard   map[string]bool // what was said already
}

// A storyStore is the dictionary of one node in the old network.
type storyStore struct {
	name    string
	entries map[string]legacy.Entry
	bridge  *storyBridge // or nil
}

type storyWrite struct {
	from *storyStore
	key  string
	e    legacy.Entry
}

type storyBridge struct {
	*story
	name       string
	store      *storyStore
	portal     *syncPortal
	leadership *leadership
}

func (s *story) do(t *testing.T, d *datadriven.TestData) {
	var args []string
	for _, a := range d.CmdArgs {
		args = append(args, a.Key)
	}
	value := func() any {
		if len(args) > 2 {
			return args[2]
		}
		return nil
	}
	switch d.Cmd {
	case "old":
		for _, name := range args {
			s.stores = append(s.stores, &storyStore{name: name, entries: map[string]legacy.Entry{}})
			s.printf("%s has joined", name)
		}
	case "bridge":
		for _, name := range args {
			s.addBridge(name)
		}
	case "native":
		s.writeNative(args[0], args[1], value())
	case "write":
		s.writeOld(s.store(args[0]), args[1], value())
	case "work":
		for s.work(t) {
		}
	case "run":
		s.deliver()
		for s.work(t) {
			s.deliver()
		}
	case "show":
		s.show()
	case "wait":
		pause, err := time.ParseDuration(args[0])
		if err != nil {
			t.Fatal(err)
		}
		s.wait(pause)
	case "crash":
		s.bridges = slices.DeleteFunc(s.bridges, func(b *storyBridge) bool { return b.name == args[0] })
		s.stores = slices.DeleteFunc(s.stores, func(st *storyStore) bool { return st.name == args[0] })
		s.printf("%s is gone", args[0])
	default:
		t.Fatalf("no command %q", d.Cmd)
	}
}

func (s *story) printf(format string, args ...any) { fmt.Fprintf(&s.log, format+"\n", args...) }

// owner returns how an owner is shown.
func (s *story) owner(id string) string {
	if name, ok := s.names[id]; ok {
		return "the ghost of " + name
	}
	return id
}

// since shows a time of the old network.
func (s *story) since(at int64) string { return fmt.Sprintf("%+ds", at-s.start.Unix()) }

func (s *story) store(name string) *storyStore {
	return s.stores[slices.IndexFunc(s.stores, func(st *storyStore) bool { return st.name == name })]
}

func (s *story) addBridge(name string) {
	b := &storyBridge{story: s, name: name, leadership: newLeadership("tag", name)}
	b.store = &storyStore{name: name, entries: map[string]legacy.Entry{}, bridge: b}
	log := slog.New(slog.DiscardHandler)
	b.portal = &syncPortal{
		network: storyNetwork, old: b, native: b, queue: newWorkQueue(), leadership: b.leadership, residents: newResidents(),
		counters: newCounters(log), log: log, losers: conflict.Losers{},
	}
	s.stores = append(s.stores, b.store)
	s.bridges = append(s.bridges, b)
	b.leadership.join(time.Now())
	s.printf("%s has joined", name)
}

// writeNative has a native peer write a key.
func (s *story) writeNative(name, key string, value any) {
	if err := s.setNative(name, key, value, time.Now()); err != nil {
		s.printf("%s cannot write: %v", name, err)
		return
	}
	s.names[storyNetwork.ghost(name)] = name
	for _, b := range s.bridges {
		b.portal.queue.addNative(context.Background(), key, cause{})
	}
}

func (s *story) setNative(owner, key string, value any, at time.Time) error {
	now := time.Now()
	if item, held := s.items[key]; held && item.Lease.Owner != owner && now.Before(item.Lease.Until) {
		return &p2psync.LeaseError{Key: key, Owner: item.Lease.Owner, For: item.Lease.Until.Sub(now), Until: item.Lease.Until}
	}
	if value == nil {
		delete(s.items, key)
		return nil
	}
	s.items[key] = p2psync.Item{Key: key, Value: value, Time: at, Lease: p2psync.Lease{Owner: owner, Until: now.Add(legacy.Lease)}}
	return nil
}

// accepts reports whether a node of 0.5 or later takes a write.
func (st *storyStore) accepts(key string, e legacy.Entry) bool {
	a, held := st.entries[key]
	return !held || a.Owner == e.Owner || a.Time < time.Now().Add(-legacy.Lease).Unix() || a.Time == e.Time && a.Owner > e.Owner
}

func (st *storyStore) put(key string, e legacy.Entry) {
	if e.Value == nil {
		delete(st.entries, key)
	} else {
		st.entries[key] = e
	}
}

// writeOld has an old node write a key.
func (s *story) writeOld(st *storyStore, key string, value any) {
	e := legacy.Entry{Value: value, Owner: st.name, Time: time.Now().Unix()}
	if !st.accepts(key, e) {
		s.printf("%s cannot write: %s is leased by %s", st.name, key, s.owner(st.entries[key].Owner))
		return
	}
	st.put(key, e)
	s.said = append(s.said, storyWrite{st, key, e})
}

// say has a write said in the old network, in which everything is heard once.
func (s *story) say(w storyWrite) {
	if id := fmt.Sprint(w.key, w.e); !s.heard[id] {
		s.heard[id] = true
		s.printf("%s says %s as %s at %s", w.from.name, shown(w.key, w.e.Value), s.owner(w.e.Owner), s.since(w.e.Time))
		s.said = append(s.said, w)
	}
}

func shown(key string, value any) string {
	if value == nil {
		return key + " deleted"
	}
	return fmt.Sprintf("%s=%v", key, value)
}

// work has each bridge look at one key. It reports whether there was one.
func (s *story) work(t *testing.T) (busy bool) {
	for _, b := range s.bridges {
		if b.portal.queue.queue.Len() == 0 {
			continue
		}
		busy = true
		key, c, err := b.portal.queue.take(t.Context())
		if err = cmp.Or(err, b.portal.process(t.Context(), key, c)); err != nil {
			s.printf("%s fails: %v", b.name, err)
		}
	}
	return busy
}

// deliver delivers what was said, in order.
func (s *story) deliver() {
	for len(s.said) > 0 {
		w := s.said[0]
		s.said = s.said[1:]
		s.hear(w)
	}
}

// hear has all others hear a write.
func (s *story) hear(w storyWrite) {
	for _, st := range s.stores {
		if st == w.from {
			continue
		}
		accepted := st.accepts(w.key, w.e)
		if accepted {
			st.put(w.key, w.e)
		} else {
			s.printf("%s does not accept %s of %s", st.name, shown(w.key, w.e.Value), s.owner(w.e.Owner))
		}
		b := st.bridge
		if b == nil || legacy.IsGhost(w.e.Owner) {
			continue
		}
		b.portal.residents.add(w.e.Owner)
		if c := (cause{Old: true, Owner: w.e.Owner, Time: w.e.Time}); accepted {
			b.portal.queue.addOld(w.key, c)
		} else {
			lost := legacy.WriteConflict{Key: w.key, Sender: w.e.Owner, Value: w.e.Value, Time: w.e.Time}
			b.portal.queue.addOld(w.key, cause{Lost: []legacy.WriteConflict{lost}})
		}
	}
}

// show shows what everybody has.
func (s *story) show() {
	list := func(who string, has []string) {
		if len(has) == 0 {
			has = []string{"nothing"}
		}
		s.printf("%s: %s", who, strings.Join(has, ", "))
	}
	var native []string
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		native = append(native, fmt.Sprintf("%s of %s", shown(key, s.items[key].Value), s.items[key].Lease.Owner))
	}
	list("native", native)
	for _, st := range s.stores {
		var has []string
		for _, key := range slices.Sorted(maps.Keys(st.entries)) {
			has = append(has, fmt.Sprintf("%s of %s", shown(key, st.entries[key].Value), s.owner(st.entries[key].Owner)))
		}
		list(st.name, has)
	}
}

// wait has time pass, and shows when another bridge is elected.
func (s *story) wait(pause time.Duration) {
	elected := func() string {
		for _, b := range s.bridges {
			if b.leadership.elected() {
				return b.name
			}
		}
		return "nobody"
	}
	before := elected()
	for range pause / (100 * time.Millisecond) {
		time.Sleep(100 * time.Millisecond)
		for _, b := range s.bridges {
			p, due := b.leadership.due(time.Now(), len(s.stores)-1)
			for _, other := range s.bridges {
				if due && other != b {
					other.leadership.hear(time.Now(), p)
				}
			}
		}
		if now := elected(); now != before {
			s.printf("%s: %s is elected", time.Since(s.start), now)
			before = now
		}
	}
}

// The native dictionary, as a portal sees it.

func (b *storyBridge) Item(key string) (p2psync.Item, error) {
	item, held := b.items[key]
	if !held {
		return p2psync.Item{}, p2psync.ErrNotFound
	}
	return item, nil
}

func (b *storyBridge) Watch(context.Context, string, p2psync.Revision) iter.Seq2[p2psync.Change, error] {
	panic("a story says what has changed")
}

func (b *storyBridge) Relay(_ context.Context, by p2psync.Relayed, key string, value any) error {
	return b.carry(by, key, value)
}

func (b *storyBridge) RelayDelete(_ context.Context, by p2psync.Relayed, key string) error {
	if _, held := b.items[key]; !held {
		return p2psync.ErrNotFound
	}
	return b.carry(by, key, nil)
}

func (b *storyBridge) carry(by p2psync.Relayed, key string, value any) error {
	if item := b.items[key]; item.Lease.Owner == by.Owner && item.Value == value {
		return nil
	}
	if err := b.setNative(by.Owner, key, value, by.Time); err != nil {
		b.printf("%s cannot copy %s in: it is leased by %s", b.name, shown(key, value), b.items[key].Lease.Owner)
		return err
	}
	b.printf("%s copies %s in, of %s", b.name, shown(key, value), by.Owner)
	b.names[storyNetwork.ghost(by.Owner)] = by.Owner
	for _, other := range b.bridges {
		other.portal.queue.addNative(context.Background(), key, cause{})
	}
	return nil
}

// The bridge's node in the old network, as a portal sees it.

func (b *storyBridge) AwaitRoom(context.Context) error { return nil }

func (b *storyBridge) Look(key, owner string, at int64) (e legacy.Entry, held, accepts bool) {
	e, held = b.store.entries[key]
	now, later := legacy.Entry{Owner: owner, Time: at}, legacy.Entry{Owner: owner, Time: max(at, e.Time+1)}
	return e, held, b.store.accepts(key, now) && b.store.accepts(key, later)
}

func (b *storyBridge) Mirror(key string, was, e legacy.Entry) error {
	if b.store.entries[key] != was {
		return legacy.ErrChanged
	}
	return b.Overwrite(key, e)
}

func (b *storyBridge) Overwrite(key string, e legacy.Entry) error {
	b.store.put(key, e)
	return b.Repeat(key, e)
}

func (b *storyBridge) Repeat(key string, e legacy.Entry) error {
	b.say(storyWrite{b.store, key, e})
	return nil
}

func (b *storyBridge) GhostKeys() []string { return nil }
