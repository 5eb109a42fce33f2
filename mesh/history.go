package mesh

// CORE: what was sent in the last minute, who lacks what, and what is lost.

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	window       = 60 * time.Second       // how long a broadcast is passed on
	maxHistory   = 64 << 20               // bytes of batches kept
	missDelay    = 200 * time.Millisecond // from noticing that a number is missing to fetching it
	fetchTimeout = 3 * time.Second        // without a word from the one that was asked, or a batch if others can be asked
	maxFetch     = 30 * time.Second       // however much it says, without a batch that was asked for
	maxFetches   = 16                     // of one neighbour at a time
	headPause    = time.Second            // between two tellings of heads to one neighbour
	headDelay    = 200 * time.Millisecond // from a change to telling it, out of the way of the broadcast itself
	urgentPause  = time.Millisecond       // the same two for batches that are fetched: at once, and this times the neighbours
	gossipBytes  = 4 << 10                // of the largest batch that is gossiped; others are told and fetched
	gapGrace     = 5 * time.Second        // after the window, until a missing number counts as lost
	maxHeads     = 256                    // in one telling
	maxClaimed   = 1024                   // runs of which nothing has arrived, but somebody claims to have it
	serveBytes   = 1 << 20                // of batches in the answer to one fetch
	maxServed    = 256                    // batches in the answer to one fetch
	maxStretches = 256                    // stretches of a run in one fetch
)

// A run is one run of an author, whose broadcasts are numbered from 1.
type run struct {
	author string
	boot   uint64
}

// A record is a batch that is kept to be passed on.
type record struct {
	run    run
	first  uint64 // number of its first message
	count  int
	data   []byte
	origin time.Time // when it was sent, by this peer's count
}

func (r *record) last() uint64 { return r.first + uint64(r.count) - 1 }

// gossiped tells whether gossip carries a batch of this size. Gossip brings a batch
// to each peer from several sides, which is fast and does no harm as long as it is
// small. A larger one travels once to each peer: who has it tells its neighbours,
// and they fetch it.
func gossiped(size int) bool { return size <= gossipBytes }

// A head says of a run which numbers its teller can serve, and how old the highest
// is.
type head struct {
	run       run
	low, high uint64
	age       time.Duration
	urgent    bool // some of them do not come by gossip: fetch at once
}

// A telling is what a neighbour is to be told.
type telling struct {
	to    string
	heads []head
}

// A loss is a stretch of a run that nobody can have any more.
type loss struct {
	run         run
	first, last uint64
}

// repairs is what history wants done.
type repairs struct {
	tell   []telling
	fetch  []fetch
	answer []question
	losses []loss
}

// history remembers the broadcasts of the last minute, within 64 MiB, of which each
// author has at least its share. It compares with what neighbours tell and fetches
// what is missing from one neighbour at a time.
//
// A neighbour is believed only as far as it costs little: what it claims to have is
// asked for, once, and a number counts as lost only if a higher one of its run, signed
// by the author, has arrived.
type history struct {
	rng        *rand.Rand
	seen       seen
	runs       map[run]*runHistory
	authors    map[string]int // bytes kept
	bytes      int
	version    uint64 // raised with each change of a run
	urgent     uint64 // version of the last change that neighbours are told at once
	claimed    int    // runs of which nothing has arrived
	given      []loss // numbers given up since the last advance
	neighbours map[string]*neighbourView
	swept      time.Time
}

type runHistory struct {
	version   uint64
	urgent    uint64
	records   []*record // by number
	floor     uint64    // lower numbers were before our time
	top       uint64    // highest number that has arrived; 0 for none
	topOrigin time.Time
	claims    map[string]span   // what neighbours say that they can serve
	vain      map[string]uint64 // up to which number neighbours were asked and have no more
	missing   []missing
	asked     fetch // under way, if asked.to is not empty
	askedAt   time.Time
	answered  uint64 // highest number of what has come of it
}

type missing struct {
	span
	since time.Time
}

type neighbourView struct {
	told   uint64 // version up to which it was told
	next   time.Time
	urgent time.Time // when it may be told the next urgent change
	heard  time.Time // when it last sent a part of an answer
	failed int       // fetches since the last that brought something
	asked  int       // fetches under way

	questions []question
}

// due says when the neighbour is to be told, if ever.
func (h *history) due(n *neighbourView) (time.Time, bool) {
	switch {
	case n.told < h.urgent && n.urgent.Before(n.next):
		return n.urgent, true
	case n.told < h.version:
		return n.next, true
	}
	return time.Time{}, false
}

func newHistory(rng *rand.Rand) *history {
	return &history{
		rng: rng, seen: seen{map[string]*authorSeen{}}, runs: map[run]*runHistory{},
		authors: map[string]int{}, neighbours: map[string]*neighbourView{},
	}
}

// join begins to compare with a neighbour, which is told everything first.
func (h *history) join(now time.Time, id string) {
	h.neighbours[id] = &neighbourView{next: now}
}

// leave ends that.
func (h *history) leave(id string) {
	delete(h.neighbours, id)
	for _, r := range h.runs {
		delete(r.claims, id)
		delete(r.vain, id)
		if r.asked.to == id {
			r.asked, r.answered = fetch{}, 0 // its view is gone
		}
	}
}

// An arrival is a batch that has just come, of which something is new.
type arrival struct {
	record
	fresh  []int  // which messages are new, as offsets from the first
	before uint64 // the highest number of the run that was known
}

// receive takes a batch of the given age. It is handled now, and not again, and to be
// kept when its signature has been checked.
func (h *history) receive(now time.Time, rec record, age time.Duration) arrival {
	a := arrival{record: rec, before: h.seen.top(rec.run.author, rec.run.boot)}
	a.origin = now.Add(-min(max(age, 0), 2*window))
	if r := h.runs[rec.run]; r != nil && r.asked.to != "" && r.asked.overlaps(&rec) {
		r.askedAt, r.answered = now, max(r.answered, rec.last()) // it is being answered
		h.neighbours[r.asked.to].failed = 0
	}
	for i := range rec.count {
		isNew, lost := h.seen.add(now, rec.run.author, rec.run.boot, rec.first+uint64(i))
		if isNew {
			a.fresh = append(a.fresh, i)
		}
		if lost.last != 0 {
			h.given = append(h.given, loss{rec.run, lost.first, lost.last})
		}
	}
	return a
}

// keep remembers a batch to pass it on, if anything in it was new.
func (h *history) keep(now time.Time, a arrival) {
	if len(a.fresh) == 0 {
		return
	}
	rec := a.record
	r := h.open(rec.run)
	if r.top == 0 {
		h.claimed--
		r.floor = a.before + 1 // what it was before a long silence, or 0
	}
	if r.floor <= 1 && a.before == 0 || rec.first < r.floor {
		r.floor = rec.first
	}
	if rec.last() > r.top {
		r.top, r.topOrigin = rec.last(), rec.origin
	}
	for _, n := range h.neighbours {
		if n.told == h.version && n.next.Before(now.Add(headDelay)) {
			n.next = now.Add(headDelay)
		}
	}
	h.version++
	r.version = h.version
	if !gossiped(len(rec.data)) {
		h.urgent, r.urgent = h.version, h.version
	}
	if now.Sub(rec.origin) < window {
		h.insert(r, &rec)
	}
	h.review(now, rec.run, r)
}

// open returns the history of a run, which is made with nothing arrived yet.
func (h *history) open(key run) *runHistory {
	r := h.runs[key]
	if r == nil {
		r = &runHistory{claims: map[string]span{}, vain: map[string]uint64{}}
		h.runs[key] = r
		h.claimed++
	}
	return r
}

func (h *history) insert(r *runHistory, rec *record) {
	i, _ := slices.BinarySearchFunc(r.records, rec.first, func(x *record, first uint64) int { return cmp.Compare(x.first, first) })
	r.records = slices.Insert(r.records, i, rec)
	h.authors[rec.run.author] += len(rec.data)
	h.bytes += len(rec.data)
	for h.bytes > maxHistory {
		h.evict()
	}
}

// evict drops the oldest batch of the author that takes most room.
func (h *history) evict() {
	var author string
	for a, n := range h.authors {
		if author == "" || n > h.authors[author] || n == h.authors[author] && a < author {
			author = a
		}
	}
	var oldest *runHistory
	for key, r := range h.runs {
		if key.author == author && len(r.records) > 0 &&
			(oldest == nil || r.records[0].origin.Before(oldest.records[0].origin)) {
			oldest = r
		}
	}
	h.drop(oldest.records[0])
	oldest.records = oldest.records[1:]
}

// drop counts a record as gone.
func (h *history) drop(rec *record) {
	h.bytes -= len(rec.data)
	if h.authors[rec.run.author] -= len(rec.data); h.authors[rec.run.author] == 0 {
		delete(h.authors, rec.run.author)
	}
}

// hear takes the heads that a neighbour tells.
func (h *history) hear(now time.Time, from string, heads []head) {
	if h.neighbours[from] == nil {
		return
	}
	for _, hd := range heads {
		if hd.low == 0 || hd.low > hd.high || hd.high == 1<<64-1 || hd.age > window {
			continue
		}
		if h.runs[hd.run] == nil && h.claimed >= maxClaimed {
			continue
		}
		r := h.open(hd.run)
		r.claims[from] = span{hd.low, hd.high}
		delete(r.vain, from)
		h.review(now, hd.run, r)
		for i := range r.missing {
			if hd.urgent && r.missing[i].first <= hd.high {
				r.missing[i].since = now.Add(-missDelay)
			}
		}
	}
}

// review brings up to date which numbers of a run are missing: those between the
// lowest and the highest that have arrived or that a neighbour claims to have.
func (h *history) review(now time.Time, key run, r *runHistory) {
	low, high := r.floor, r.top
	for _, c := range r.claims {
		if low == 0 || c.first < low {
			low = c.first
		}
		high = max(high, c.last)
	}
	old := r.missing
	r.missing = nil
	for _, gap := range h.seen.gaps(key.author, key.boot, low, high) {
		for len(old) > 0 && old[0].last < gap.first {
			old = old[1:]
		}
		since := now
		for _, o := range old {
			if o.first > gap.last {
				break
			}
			if o.since.Before(since) {
				since = o.since
			}
		}
		r.missing = append(r.missing, missing{gap, since})
	}
}

// serve returns batches that a neighbour asks for, with their ages, at most 256 of
// them and about a megabyte.
func (h *history) serve(now time.Time, f fetch) (list []record, ages []time.Duration) {
	r := h.runs[f.run]
	if r == nil {
		return nil, nil
	}
	size := 0
	for _, rec := range r.records {
		if !f.overlaps(rec) || now.Sub(rec.origin) >= window {
			continue
		}
		if size += len(rec.data); len(list) == maxServed || size > serveBytes && len(list) > 0 {
			break
		}
		list = append(list, *rec)
		ages = append(ages, now.Sub(rec.origin))
	}
	return list, ages
}

// advance returns what is to be done now.
func (h *history) advance(now time.Time) repairs {
	h.sweep(now)
	out := repairs{losses: h.given}
	h.given = nil
	for _, key := range slices.SortedFunc(maps.Keys(h.runs), compareRuns) {
		r := h.runs[key]
		if r.asked.to != "" && !now.Before(h.overdue(r)) {
			h.conclude(r)
		}
		if len(r.missing) == 0 {
			continue
		}
		out.losses = append(out.losses, h.lose(now, key, r)...)
		if r.asked.to == "" {
			if f, ok := h.choose(now, key, r); ok {
				r.asked, r.askedAt = f, now
				h.neighbours[f.to].asked++
				out.fetch = append(out.fetch, f)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.neighbours)) {
		n := h.neighbours[id]
		out.answer = append(out.answer, h.answers(n)...)
		if due, ok := h.due(n); !ok || now.Before(due) {
			continue
		}
		if heads := h.heads(now, n); len(heads) > 0 {
			out.tell = append(out.tell, telling{id, heads})
			n.next, n.urgent = now.Add(headPause), now.Add(urgentPause*time.Duration(len(h.neighbours)))
		}
	}
	return out
}

func compareRuns(a, b run) int {
	return cmp.Or(cmp.Compare(a.author, b.author), cmp.Compare(a.boot, b.boot))
}

// lose gives up what nobody can have any more, and what was never there.
func (h *history) lose(now time.Time, key run, r *runHistory) []loss {
	var losses []loss
	for _, m := range r.missing {
		if now.Sub(m.since) < window+gapGrace {
			continue
		}
		first, last := max(m.first, r.floor), min(m.last, r.top)
		if first <= last {
			losses = append(losses, loss{key, first, last})
			h.seen.fill(key.author, key.boot, first, last)
		}
	}
	if losses != nil {
		h.review(now, key, r)
	}
	return losses
}

// heads returns what has changed since the neighbour was last told, oldest change
// first, and notes that it was told. What the neighbour has told itself is no reason to
// be silent: it may have holes.
func (h *history) heads(now time.Time, n *neighbourView) []head {
	type change struct {
		version uint64
		head    head
	}
	var changes []change
	for key, r := range h.runs {
		if r.version > n.told && len(r.records) > 0 {
			changes = append(changes, change{r.version, head{
				key, r.records[0].first, r.records[len(r.records)-1].last(), now.Sub(r.topOrigin), r.urgent > n.told,
			}})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	n.told = h.version
	if len(changes) > maxHeads {
		changes = changes[:maxHeads]
		n.told = changes[maxHeads-1].version
	}
	heads := make([]head, len(changes))
	for i, c := range changes {
		heads[i] = c.head
	}
	return heads
}

// sweep drops what is older than the window, once a second.
func (h *history) sweep(now time.Time) {
	if now.Sub(h.swept) < time.Second {
		return
	}
	h.swept = now
	for key, r := range h.runs {
		r.records = slices.DeleteFunc(r.records, func(rec *record) bool {
			old := now.Sub(rec.origin) >= window
			if old {
				h.drop(rec)
			}
			return old
		})
		quiet := now.Sub(r.topOrigin) >= 2*(window+gapGrace)
		if r.top == 0 { // only claims
			quiet = len(r.claims) == 0 || len(r.missing) > 0 && now.Sub(r.missing[0].since) >= 2*window
		}
		if quiet && len(r.records) == 0 && r.asked.to == "" {
			delete(h.runs, key)
			if r.top == 0 {
				h.claimed--
			}
		}
	}
}

// deadline says when advance has something to do next; zero if nothing is known.
func (h *history) deadline(now time.Time) time.Time {
	var first time.Time
	sooner := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	if len(h.runs) > 0 {
		sooner(h.swept.Add(window / 12))
	}
	for _, r := range h.runs {
		if r.asked.to != "" {
			sooner(h.overdue(r))
			continue
		}
		for _, m := range r.missing {
			if wait := m.since.Add(missDelay); now.Before(wait) {
				sooner(wait)
			}
		}
	}
	for _, n := range h.neighbours {
		if due, ok := h.due(n); ok {
			sooner(due)
		}
	}
	return first
}
