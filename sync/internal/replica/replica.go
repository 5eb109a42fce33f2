package replica

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Errors of writing.
var (
	ErrNotFound = errors.New("no such key")
	ErrFull     = errors.New("the dictionary is full: delete something, or raise MaxBytes at every peer")
)

const (
	maxWaiting      = 1 << 15  // events that wait for earlier ones, at most
	maxWaitingBytes = 16 << 20 // of them
	entryRoom       = 357      // bytes that an entry takes beside its key and value, at most
)

// A Replica holds the living record of each key, and the set of all events that it has seen.
//
// There are no tombstones. If a replica has seen the dot of a record and does not hold the
// record, it was replaced or deleted: it is dead. Of two living records the higher one stays.
//
// The events of a writer are applied in the order of their numbers, and each after the event
// that it replaces. So a replica never shows a record of whose end it knows.
//
// A Replica is not safe for concurrent use.
type Replica struct {
	Rules
	Writer   string // of what is written here; may be changed between two writes
	tree     tree
	seen     SeenSet
	top      uint64 // highest term seen
	bytes    int64  // of memory, roughly
	maxBytes int64
	waiting  map[Dot]*Entry
	behind   map[Dot][]*Entry // of those, the ones that also wait for a dot of another writer
	waited   int              // bytes of those that wait
	revision uint64
	names    map[string]string // owners and writers, each once
}

// New returns an empty replica that writes under a name, within a limit of memory.
func New(r Rules, writer string, maxBytes int64) *Replica {
	return &Replica{
		Rules: r, Writer: writer, seen: SeenSet{}, maxBytes: maxBytes,
		waiting: map[Dot]*Entry{}, behind: map[Dot][]*Entry{}, names: map[string]string{},
	}
}

// An Op is one thing to do with a key: to set it, or to delete it.
type Op struct {
	Key    string
	Value  string
	Delete bool
	By     *Relayed // the writer in another network; nil for this peer
}

// Relayed says who wrote something in another network, from which a member relays it.
// None of it is proven.
type Relayed struct {
	Owner string        // LegacyPrefix, subnet and ID
	Time  time.Time     // when it was written there, by its author's clock
	Age   time.Duration // of its lease
}

// An Update is operations on different keys of which all take effect, or none.
type Update struct {
	Build func(*Replica) ([]Op, error) // returns them, at the moment when they are decided
	Last  Dot                          // of the last record; zero if nothing was written
	Err   error                        // why nothing was written
}

// A Change is what became of a key.
type Change struct {
	Key      string
	Old, New *Entry // nil if there was or is none
	Revision uint64
}

// Bytes returns roughly how many bytes the records of a change take.
func (c *Change) Bytes() int {
	n := 0
	for _, e := range []*Entry{c.Old, c.New} {
		if e != nil {
			n += e.Size()
		}
	}
	return n
}

// Effects are what follows from a call. Only the shell acts on them.
type Effects struct {
	Written       []*Entry // records of this peer, to be sealed and published
	Changes       []Change
	Writers       []string // that have more events in the seen set
	Missing       bool     // earlier events are missing: reconcile
	Full          bool     // there was no room for a record: this replica is not in sync
	Lost          []Change // records of this peer that another owner has replaced
	Taken         []Change // records of others that were replaced while their lease runs here
	Pruned        []*Entry // records of this peer that another replica took for dead while their lease runs
	IdentityClash bool     // a number of this writer was used for another event
}

// plan returns the records of operations on different keys, if all of them are allowed. The
// records take effect with commit.
func (r *Replica) plan(now Instant, ops []Op) ([]*Entry, error) {
	entries := make([]*Entry, 0, len(ops))
	top, bytes, next, by := r.top, r.bytes, r.seen.next(r.Writer), namesOf(r.Writer)
	for i, o := range ops {
		held := r.tree.get(o.Key)
		if o.Delete && held == nil {
			return nil, fmt.Errorf("%w: %q", ErrNotFound, o.Key)
		}
		e := &Entry{renewed: now.Count, Record: Record{
			Key: o.Key, Value: o.Value, Owner: r.Self,
			Dot: Dot{r.Writer, next + uint64(i)}, Time: now.Wall.UnixMilli(), Deleted: o.Delete,
		}}
		var err error
		if o.By == nil {
			e.Term, e.Seq, err = r.Rules.write(now, held, top)
		} else {
			e.renewed, e.Owner, e.Time = now.Count-o.By.Age, o.By.Owner, o.By.Time.UnixMilli()
			e.Term, e.Seq, err = r.Rules.relay(now, held, e.Owner, uint64(max(0, o.By.Time.Unix())))
		}
		if err != nil {
			return nil, err
		}
		top = raise(top, e.Term)
		if held != nil {
			e.Over = held.Dot
			bytes -= held.room()
		}
		if !o.Delete {
			if bytes += e.room(); bytes > r.maxBytes {
				return nil, fmt.Errorf("%w: %q", ErrFull, o.Key)
			}
		}
		e.hash = e.hashBy(by)
		entries = append(entries, e)
	}
	return entries, nil
}

// room returns roughly how many bytes of memory an entry takes.
func (e *Entry) room() int64 { return int64(entryRoom + len(e.Key) + len(e.Value)) }

// Write decides updates in their order, and sets Last and Err of each. The effects are those
// of all updates that are allowed.
func (r *Replica) Write(now Instant, updates ...*Update) (out Effects) {
	for _, u := range updates {
		ops, err := u.Build(r)
		var planned []*Entry
		if err == nil {
			planned, err = r.plan(now, ops)
		}
		if u.Err = err; err != nil {
			continue
		}
		r.commit(now, planned, &out)
		if n := len(planned); n > 0 {
			u.Last = planned[n-1].Dot
		}
	}
	return out
}

// MayWrite returns a LeaseError if this peer may not write the key of an entry now.
func (r *Replica) MayWrite(now Instant, e *Entry) error {
	_, _, err := r.Rules.write(now, e, r.top)
	return err
}

// commit lets planned records take effect.
func (r *Replica) commit(now Instant, planned []*Entry, out *Effects) {
	out.Written = append(out.Written, planned...)
	for _, e := range planned {
		r.apply(now, e, out)
	}
}

// Receive applies events of other members, which are in the order of their numbers if they
// are of one writer. Events that come too early wait, as long as there is room.
func (r *Replica) Receive(now Instant, events []*Entry) (out Effects) {
	out.Changes = make([]Change, 0, len(events))
	for _, e := range events {
		if r.seen.has(e.Dot) {
			out.IdentityClash = out.IdentityClash || e.Dot.Writer == r.Writer && r.differs(e)
			e.discard()
			continue
		}
		if e.Dot.Writer == r.Writer { // a number that this peer has not used yet
			out.IdentityClash = true
			e.discard()
			continue
		}
		if r.ready(e) && r.fits(e, r.tree.get(e.Key), &out) {
			r.apply(now, e, &out)
			r.applyWaiting(now, e.Dot, &out)
			continue
		}
		out.Missing = true
		if r.waiting[e.Dot] == nil && len(r.waiting) < maxWaiting && r.waited+int(e.room()) <= maxWaitingBytes {
			r.wait(e)
		} else {
			e.discard()
		}
	}
	return out
}

// wait keeps an event that came too early.
func (r *Replica) wait(e *Entry) {
	r.waiting[e.Dot] = e
	r.waited += int(e.room())
	if e.Over.N != 0 && e.Over.Writer != e.Dot.Writer {
		r.behind[e.Over] = append(r.behind[e.Over], e)
	}
}

// unwait forgets an event that was kept.
func (r *Replica) unwait(e *Entry) {
	delete(r.waiting, e.Dot)
	r.waited -= int(e.room())
	list := slices.DeleteFunc(r.behind[e.Over], func(o *Entry) bool { return o == e })
	if r.behind[e.Over] = list; len(list) == 0 {
		delete(r.behind, e.Over)
	}
}

// applyWaiting applies the kept events that waited for a dot.
func (r *Replica) applyWaiting(now Instant, d Dot, out *Effects) {
	for seen := []Dot{d}; len(seen) > 0; {
		d, seen = seen[0], seen[1:]
		next := r.behind[d]
		if e := r.waiting[Dot{d.Writer, d.N + 1}]; e != nil {
			next = append(slices.Clone(next), e)
		}
		for _, e := range slices.Clone(next) {
			if r.waiting[e.Dot] == e && r.ready(e) && r.fits(e, r.tree.get(e.Key), out) {
				r.unwait(e)
				r.apply(now, e, out)
				seen = append(seen, e.Dot)
			}
		}
	}
}

// fits reports whether there is room for an event, and for its writer. Held is the living
// record of its key.
func (r *Replica) fits(e, held *Entry, out *Effects) bool {
	fits := r.bytes+e.room() <= r.maxBytes || e.Deleted || held != nil
	if r.seen[e.Dot.Writer] == nil && len(r.seen) >= maxWriters {
		fits = false
	}
	out.Full = out.Full || !fits
	return fits
}

// differs reports whether another living record has the dot of an event.
func (r *Replica) differs(e *Entry) bool {
	held := r.tree.get(e.Key)
	return held != nil && held.Dot == e.Dot && held.hash != e.hash
}

// ready reports whether all events that an event builds on were seen.
func (r *Replica) ready(e *Entry) bool {
	return r.seen.next(e.Dot.Writer) == e.Dot.N && (e.Over.N == 0 || r.seen.has(e.Over))
}

// applyReady applies the kept events that are ready after many were seen at once.
func (r *Replica) applyReady(now Instant, out *Effects) {
	for again := true; again; {
		again = false
		for d, e := range r.waiting {
			switch {
			case r.seen.has(d):
				r.unwait(e)
				e.discard()
			case r.ready(e) && r.fits(e, r.tree.get(e.Key), out):
				r.unwait(e)
				r.apply(now, e, out)
				r.applyWaiting(now, d, out)
				again = true
			}
		}
	}
}

// apply lets an event take effect.
func (r *Replica) apply(now Instant, e *Entry, out *Effects) {
	r.seen.add(e.Dot)
	if n := len(out.Writers); n == 0 || out.Writers[n-1] != e.Dot.Writer {
		out.Writers = append(out.Writers, e.Dot.Writer)
	}
	r.top = raise(r.top, e.Term)
	if e.Deleted {
		e.discard()
		if held := r.tree.get(e.Key); held != nil && held.Dot == e.Over {
			r.tree.remove(e.Key)
			r.replaced(now, held, nil, e.Owner, out)
		}
		return
	}
	r.place(now, e, out, func(*Entry) bool { return true })
}

// place puts an entry in the place of the living record of its key, if that is lower and
// agree accepts. Otherwise the entry is dead.
func (r *Replica) place(now Instant, e *Entry, out *Effects, agree func(held *Entry) bool) {
	old, in := r.tree.put(e, func(held *Entry) bool {
		return (held == nil || held.Record.compare(&e.Record) < 0) && agree(held)
	})
	switch {
	case in:
		r.replaced(now, old, e, e.Owner, out)
	case old != e:
		e.discard()
	}
}

// discard notes in the batch of an entry that the entry is dead.
func (e *Entry) discard() {
	if e.batch != nil && e.batch.leaves[e.leaf] == e {
		e.batch.drop(e)
	}
}

// replaced notes that an entry is there instead of another one; either may be nil.
func (r *Replica) replaced(now Instant, old, new *Entry, by string, out *Effects) {
	r.revision++
	c := Change{Old: old, New: new, Revision: r.revision}
	if new != nil {
		c.Key = new.Key
		new.Revision = r.revision
		r.count(new)
	} else {
		c.Key = old.Key
	}
	if old != nil {
		old.discard()
		r.bytes -= old.room()
		if old.Owner != by {
			switch {
			case old.Owner == r.Self:
				out.Lost = append(out.Lost, c)
			case r.Remaining(now, old) > 0:
				out.Taken = append(out.Taken, c)
			}
		}
	}
	out.Changes = append(out.Changes, c)
}

// load puts back a record that was stored.
func (r *Replica) load(e *Entry) {
	r.tree.put(e, func(*Entry) bool { return true })
	r.count(e)
}

// count counts an entry that is new.
func (r *Replica) count(e *Entry) {
	e.Owner, e.Dot.Writer, e.Over.Writer = r.name(e.Owner), r.name(e.Dot.Writer), r.name(e.Over.Writer)
	r.bytes += e.room()
	r.top = raise(r.top, e.Term)
}

// name returns a string that shares its memory with all that are equal.
func (r *Replica) name(s string) string {
	if known, ok := r.names[s]; ok {
		return known
	}
	if len(r.names) > 2*maxWriters {
		clear(r.names)
	}
	r.names[s] = s
	return s
}

// accept applies a living record of another replica, unless it is dead or lower here.
func (r *Replica) accept(now Instant, e *Entry, out *Effects) {
	if r.seen.has(e.Dot) {
		e.discard()
		return
	}
	r.place(now, e, out, func(held *Entry) bool { return r.fits(e, held, out) })
}

// prune removes a record that is dead to another replica. If the record is one of this peer,
// and the other replica knows no more of its writer than this one, nobody can have ended it.
// Then it is among the pruned effects.
func (r *Replica) prune(now Instant, key string, d Dot, theirs SeenSet, out *Effects) {
	held := r.tree.get(key)
	if held == nil || held.Dot != d {
		return
	}
	r.tree.remove(key)
	r.replaced(now, held, nil, "", out)
	if held.Owner == r.Self && d.Writer == r.Writer && !r.outdated(theirs) && r.Remaining(now, held) > 0 {
		out.Pruned = append(out.Pruned, held)
	}
}

// outdated reports whether another replica has seen more of this writer than it has written.
func (r *Replica) outdated(theirs SeenSet) bool {
	list := theirs[r.Writer]
	return len(list) > 0 && list[len(list)-1].Last >= r.seen.next(r.Writer)
}

// Knows reports whether nothing in a batch is new. A batch with the name of this writer is
// never known: another copy of this peer may have written it.
func (r *Replica) Knows(b *Batch) bool {
	if b.Writer == r.Writer {
		return false
	}
	for _, e := range b.leaves {
		if !r.seen.has(e.Dot) {
			return false
		}
	}
	return true
}

// Next returns the lowest number of a writer that was not seen.
func (r *Replica) Next(writer string) uint64 { return r.seen.next(writer) }

// Get returns the entry of a key, and nil if there is none.
func (r *Replica) Get(key string) *Entry { return r.tree.get(key) }

// All yields the entries in the order of their keys, beginning with a key. The replica must
// not change meanwhile.
func (r *Replica) All(from string) iter.Seq[*Entry] { return r.tree.all(span{lo: from}) }

// Usage says how much a replica holds.
type Usage struct {
	Keys     int
	Bytes    int64 // of memory, roughly
	MaxBytes int64
	Waiting  int    // events that wait for earlier ones
	Term     uint64 // the highest seen
}

func (r *Replica) Usage() Usage {
	return Usage{Keys: r.tree.len(), Bytes: r.bytes, MaxBytes: r.maxBytes, Waiting: len(r.waiting), Term: r.top}
}

// State returns a string that only equal replicas have in common.
func (r *Replica) State() string {
	return fmt.Sprintf("%v %x", r.tree.summarise(span{}), r.seen.hash())
}

// Rename gives the writer another name, after another copy of this peer has used some of its
// numbers. The numbers from one on are taken out of the seen set, and the living records
// with them are written again.
func (r *Replica) Rename(now Instant, name string, from uint64) (out Effects, err error) {
	out.Writers = append(out.Writers, r.Writer)
	list := r.seen[r.Writer]
	for len(list) > 0 && list[len(list)-1].First >= from {
		list = list[:len(list)-1]
	}
	if n := len(list); n > 0 {
		list[n-1].Last = min(list[n-1].Last, from-1)
		r.seen[r.Writer] = list
	} else {
		delete(r.seen, r.Writer)
	}
	var ops []Op
	for e := range r.tree.all(span{}) {
		if e.Dot.Writer == r.Writer && e.Dot.N >= from {
			ops = append(ops, Op{Key: e.Key, Value: e.Value})
		}
	}
	r.Writer = name
	planned, err := r.plan(now, ops)
	r.commit(now, planned, &out)
	return out, err
}

// unite adds the seen set of another replica, after all of its living records were accepted
// and the dead ones pruned.
func (r *Replica) unite(now Instant, other SeenSet, out *Effects) {
	united := r.seen.clone()
	united.unite(other)
	if !united.fits() { // others could not read it, nor this one from its store
		out.Full = true
		return
	}
	for writer := range other {
		out.Writers = append(out.Writers, writer)
	}
	r.seen = united
	r.applyReady(now, out)
}
