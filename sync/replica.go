package sync

// CORE: the records of a replica, and what an event changes.

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
	maxWaiting      = 1 << 15  // events that wait for earlier ones
	maxWaitingBytes = 16 << 20 //
	entryRoom       = 357      // bytes that an entry takes beside its key and value, at most
)

// A replica has the living record of each key, and knows which events it has seen.
//
// There are no tombstones. A record that one replica has and another lacks, although
// the other has seen its dot, was replaced or deleted: it is dead. Among the living
// order decides. Events of a writer are applied in the order of their numbers, and after
// the event that they replace: so at no moment a replica shows what it has seen the end
// of.
type replica struct {
	rules
	writer   string // of what is written here
	tree     tree
	seen     seenSet
	top      uint64 // highest term seen
	bytes    int64  // taken, roughly
	maxBytes int64
	waiting  map[dot]*entry
	behind   map[dot][]*entry // of those, the ones that also wait for a dot of another writer
	waited   int              // bytes of those that wait
	revision uint64
	names    map[string]string // owners and writers, each once
}

func newReplica(r rules, writer string, maxBytes int64) *replica {
	return &replica{rules: r, writer: writer, seen: seenSet{}, maxBytes: maxBytes, waiting: map[dot]*entry{}, behind: map[dot][]*entry{}, names: map[string]string{}}
}

// An op is what somebody wants to do with a key: set it, or delete it.
type op struct {
	key    string
	value  string
	delete bool
	by     *Carried // nil is this peer
}

// A Carried says who has written something in another network, from which a member carries
// it over. Nothing of it is proven.
type Carried struct {
	Owner string        // LegacyPrefix and who it is
	Time  time.Time     // when it was written there, by its author's clock
	Age   time.Duration // of its lease
}

// An update is operations on different keys of which all take effect, or none.
type update struct {
	build func(*replica) ([]op, error) // returns them, as things are when they are decided
	last  dot                          // of the last record; zero if nothing was written
	err   error                        // why nothing was written
}

// A change is what became of a key.
type change struct {
	key      string
	old, new *entry // nil for none
	revision uint64
}

// effects are what follows from an event.
type effects struct {
	written []*entry // records of this peer, which are to be sealed and sent
	changes []change
	writers []string // of whom more has been seen
	missing bool     // earlier events are: reconcile
	full    bool     // there was no room for a record: this replica is not level
	lost    []change // of this peer's records, replaced by another owner's
	taken   []change // of others' whose lease still runs here
	buried  []*entry // of this peer's records, dead to another replica while their lease runs
	clash   bool     // a number of this writer was used for something else
}

// plan makes the records for some operations on different keys, if all of them are
// allowed. They take effect when they are applied.
func (r *replica) plan(now instant, ops []op) ([]*entry, error) {
	entries := make([]*entry, 0, len(ops))
	top, bytes, next, by := r.top, r.bytes, r.seen.next(r.writer), namesOf(r.writer)
	for i, o := range ops {
		held := r.tree.get(o.key)
		if o.delete && held == nil {
			return nil, fmt.Errorf("%w: %q", ErrNotFound, o.key)
		}
		e := &entry{renewed: now.count, record: record{
			key: o.key, value: o.value, owner: r.self,
			dot: dot{r.writer, next + uint64(i)}, time: now.wall.UnixMilli(), deleted: o.delete,
		}}
		var err error
		if o.by == nil {
			e.term, e.seq, err = r.rules.write(now, held, top)
		} else {
			e.renewed, e.owner, e.time = now.count-o.by.Age, o.by.Owner, o.by.Time.UnixMilli()
			e.term, e.seq, err = r.rules.carry(now, held, e.owner, uint64(max(0, o.by.Time.Unix())))
		}
		if err != nil {
			return nil, err
		}
		top = raise(top, e.term)
		if held != nil {
			e.over = held.dot
			bytes -= held.room()
		}
		if !o.delete {
			if bytes += e.room(); bytes > r.maxBytes {
				return nil, fmt.Errorf("%w: %q", ErrFull, o.key)
			}
		}
		e.hash = e.hashBy(by)
		entries = append(entries, e)
	}
	return entries, nil
}

// room is roughly how much memory an entry takes.
func (e *entry) room() int64 { return int64(entryRoom + len(e.key) + len(e.value)) }

// write decides updates, one after the other. The effects are those of all that are allowed.
func (r *replica) write(now instant, updates ...*update) (out effects) {
	for _, u := range updates {
		ops, err := u.build(r)
		var planned []*entry
		if err == nil {
			planned, err = r.plan(now, ops)
		}
		if u.err = err; err != nil {
			continue
		}
		r.commit(now, planned, &out)
		if n := len(planned); n > 0 {
			u.last = planned[n-1].dot
		}
	}
	return out
}

// mayWrite returns a LeaseError if this peer may not write the key of an entry now.
func (r *replica) mayWrite(now instant, e *entry) error {
	_, _, err := r.rules.write(now, e, r.top)
	return err
}

// commit lets planned records take effect.
func (r *replica) commit(now instant, planned []*entry, out *effects) {
	out.written = append(out.written, planned...)
	for _, e := range planned {
		r.apply(now, e, out)
	}
}

// receive takes events of others, in the order of their numbers if they are of one
// writer. Those for which it is too early wait, as long as there is room.
func (r *replica) receive(now instant, events []*entry) (out effects) {
	out.changes = make([]change, 0, len(events))
	for _, e := range events {
		if r.seen.has(e.dot) {
			out.clash = out.clash || e.dot.writer == r.writer && r.differs(e)
			e.discard()
			continue
		}
		if e.dot.writer == r.writer { // which this peer has not used yet
			out.clash = true
			e.discard()
			continue
		}
		if r.ready(e) && r.fits(e, r.tree.get(e.key), &out) {
			r.apply(now, e, &out)
			r.follow(now, e.dot, &out)
			continue
		}
		out.missing = true
		if r.waiting[e.dot] == nil && len(r.waiting) < maxWaiting && r.waited+int(e.room()) <= maxWaitingBytes {
			r.wait(e)
		} else {
			e.discard()
		}
	}
	return out
}

// wait keeps an event for which it is too early.
func (r *replica) wait(e *entry) {
	r.waiting[e.dot] = e
	r.waited += int(e.room())
	if e.over.n != 0 && e.over.writer != e.dot.writer {
		r.behind[e.over] = append(r.behind[e.over], e)
	}
}

// unwait forgets an event that waited.
func (r *replica) unwait(e *entry) {
	delete(r.waiting, e.dot)
	r.waited -= int(e.room())
	list := slices.DeleteFunc(r.behind[e.over], func(o *entry) bool { return o == e })
	if r.behind[e.over] = list; len(list) == 0 {
		delete(r.behind, e.over)
	}
}

// follow applies what has waited for a dot that was seen just now.
func (r *replica) follow(now instant, d dot, out *effects) {
	for seen := []dot{d}; len(seen) > 0; {
		d, seen = seen[0], seen[1:]
		next := r.behind[d]
		if e := r.waiting[dot{d.writer, d.n + 1}]; e != nil {
			next = append(slices.Clone(next), e)
		}
		for _, e := range slices.Clone(next) {
			if r.waiting[e.dot] == e && r.ready(e) && r.fits(e, r.tree.get(e.key), out) {
				r.unwait(e)
				r.apply(now, e, out)
				seen = append(seen, e.dot)
			}
		}
	}
}

// fits tells whether there is room for an event, and for its writer. Held is what is
// there of its key.
func (r *replica) fits(e, held *entry, out *effects) bool {
	fits := r.bytes+e.room() <= r.maxBytes || e.deleted || held != nil
	if r.seen[e.dot.writer] == nil && len(r.seen) >= maxWriters {
		fits = false
	}
	out.full = out.full || !fits
	return fits
}

// differs tells whether a living record has the dot of an event and is not that event.
func (r *replica) differs(e *entry) bool {
	held := r.tree.get(e.key)
	return held != nil && held.dot == e.dot && held.hash != e.hash
}

// ready tells whether all that an event builds on was seen.
func (r *replica) ready(e *entry) bool {
	return r.seen.next(e.dot.writer) == e.dot.n && (e.over.n == 0 || r.seen.has(e.over))
}

// drain applies what waits no longer after much has been seen at once.
func (r *replica) drain(now instant, out *effects) {
	for again := true; again; {
		again = false
		for d, e := range r.waiting {
			switch {
			case r.seen.has(d):
				r.unwait(e)
				e.discard()
			case r.ready(e) && r.fits(e, r.tree.get(e.key), out):
				r.unwait(e)
				r.apply(now, e, out)
				r.follow(now, d, out)
				again = true
			}
		}
	}
}

// apply lets an event take effect.
func (r *replica) apply(now instant, e *entry, out *effects) {
	r.seen.add(e.dot)
	if n := len(out.writers); n == 0 || out.writers[n-1] != e.dot.writer {
		out.writers = append(out.writers, e.dot.writer)
	}
	r.top = raise(r.top, e.term)
	if e.deleted {
		e.discard()
		if held := r.tree.get(e.key); held != nil && held.dot == e.over {
			r.tree.remove(e.key)
			r.replaced(now, held, nil, e.owner, out)
		}
		return
	}
	r.offer(now, e, out, func(*entry) bool { return true })
}

// offer puts an entry in the place of what is there of its key, if that is lower and
// somebody agrees. Otherwise it is dead.
func (r *replica) offer(now instant, e *entry, out *effects, agree func(held *entry) bool) {
	old, in := r.tree.put(e, func(held *entry) bool {
		return (held == nil || held.record.compare(&e.record) < 0) && agree(held)
	})
	switch {
	case in:
		r.replaced(now, old, e, e.owner, out)
	case old != e:
		e.discard()
	}
}

// discard tells the proof of an entry that it is dead.
func (e *entry) discard() {
	if e.batch != nil && e.batch.leaves[e.leaf] == e {
		e.batch.drop(e)
	}
}

// replaced does what follows when an entry is there instead of another; either may be
// nil.
func (r *replica) replaced(now instant, old, new *entry, by string, out *effects) {
	r.revision++
	c := change{old: old, new: new, revision: r.revision}
	if new != nil {
		c.key = new.key
		new.revision = r.revision
		r.count(new)
	} else {
		c.key = old.key
	}
	if old != nil {
		old.discard()
		r.bytes -= old.room()
		if old.owner != by {
			switch {
			case old.owner == r.self:
				out.lost = append(out.lost, c)
			case r.remaining(now, old) > 0:
				out.taken = append(out.taken, c)
			}
		}
	}
	out.changes = append(out.changes, c)
}

// load puts back a record that was stored.
func (r *replica) load(e *entry) {
	r.tree.put(e, func(*entry) bool { return true })
	r.count(e)
}

// count takes account of an entry that is new.
func (r *replica) count(e *entry) {
	e.owner, e.dot.writer, e.over.writer = r.name(e.owner), r.name(e.dot.writer), r.name(e.over.writer)
	r.bytes += e.room()
	r.top = raise(r.top, e.term)
}

// name returns a text in memory that is shared with all that are equal.
func (r *replica) name(s string) string {
	if known, ok := r.names[s]; ok {
		return known
	}
	if len(r.names) > 2*maxWriters {
		clear(r.names)
	}
	r.names[s] = s
	return s
}

// adopt takes a living record of another replica. What is dead or lower here is left
// out.
func (r *replica) adopt(now instant, e *entry, out *effects) {
	if r.seen.has(e.dot) {
		e.discard()
		return
	}
	r.offer(now, e, out, func(held *entry) bool { return r.fits(e, held, out) })
}

// bury takes a record out that another replica has seen the end of. If that is one of
// this peer's, and it knows of all that it has written itself, nobody can have.
func (r *replica) bury(now instant, key string, d dot, theirs seenSet, out *effects) {
	held := r.tree.get(key)
	if held == nil || held.dot != d {
		return
	}
	r.tree.remove(key)
	r.replaced(now, held, nil, "", out)
	if held.owner == r.self && d.writer == r.writer && !r.outdated(theirs) && r.remaining(now, held) > 0 {
		out.buried = append(out.buried, held)
	}
}

// outdated tells whether another replica knows more of this one's writer than it has
// written itself.
func (r *replica) outdated(theirs seenSet) bool {
	list := theirs[r.writer]
	return len(list) > 0 && list[len(list)-1].last >= r.seen.next(r.writer)
}

// knows tells whether nothing in a batch is new. What bears the name of this writer is
// looked at anyway: it may be another's.
func (r *replica) knows(b *batch) bool {
	if b.writer == r.writer {
		return false
	}
	for _, e := range b.leaves {
		if !r.seen.has(e.dot) {
			return false
		}
	}
	return true
}

// next is the lowest number of a writer that was not seen.
func (r *replica) next(writer string) uint64 { return r.seen.next(writer) }

// get returns the entry of a key, nil if there is none.
func (r *replica) get(key string) *entry { return r.tree.get(key) }

// all yields the entries from a key on, in the order of their keys. The replica must not
// change meanwhile.
func (r *replica) all(from string) iter.Seq[*entry] { return r.tree.all(span{lo: from}) }

// usage is what a replica takes.
type usage struct {
	Keys     int
	Bytes    int64 // of memory, roughly
	MaxBytes int64
	Waiting  int    // events that wait for earlier ones
	Term     uint64 // the highest seen
}

func (r *replica) usage() usage {
	return usage{Keys: r.tree.len(), Bytes: r.bytes, MaxBytes: r.maxBytes, Waiting: len(r.waiting), Term: r.top}
}

// state is the same for equal replicas only.
func (r *replica) state() string {
	return fmt.Sprintf("%v %x", r.tree.summarise(span{}), r.seen.hash())
}

// rename gives the writer another name, after another copy of this peer has used some of
// its numbers. Those from one on are not what this replica has seen, and the records that
// it has written under them are written again.
func (r *replica) rename(now instant, name string, from uint64) (out effects, err error) {
	out.writers = append(out.writers, r.writer)
	list := r.seen[r.writer]
	for len(list) > 0 && list[len(list)-1].first >= from {
		list = list[:len(list)-1]
	}
	if n := len(list); n > 0 {
		list[n-1].last = min(list[n-1].last, from-1)
		r.seen[r.writer] = list
	} else {
		delete(r.seen, r.writer)
	}
	var ops []op
	for e := range r.tree.all(span{}) {
		if e.dot.writer == r.writer && e.dot.n >= from {
			ops = append(ops, op{key: e.key, value: e.value})
		}
	}
	r.writer = name
	planned, err := r.plan(now, ops)
	r.commit(now, planned, &out)
	return out, err
}

// unite adds what another replica has seen, when all of its living records have been
// adopted and the dead ones buried.
func (r *replica) unite(now instant, other seenSet, out *effects) {
	united := r.seen.clone()
	united.unite(other)
	if !united.fits() { // others could not read it, nor this one from its store
		out.full = true
		return
	}
	for writer := range other {
		out.writers = append(out.writers, writer)
	}
	r.seen = united
	r.drain(now, out)
}
