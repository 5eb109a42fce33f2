// Package repair decides who lacks which broadcasts of the last minute, from which neighbour
// they are fetched, and which are lost.
package repair

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	window        = 60 * time.Second       // how long a broadcast is passed on
	maxHistory    = 64 << 20               // bytes of batches kept
	missDelay     = 200 * time.Millisecond // from noticing that a number is missing to fetching it
	FetchTimeout  = 3 * time.Second        // without a word from the one that was asked, or a batch if others can be asked
	maxFetch      = 30 * time.Second       // however much it says, without a batch that was asked for
	maxFetches    = 16                     // of one neighbour at a time
	announcePause = time.Second            // between two announcements to one neighbour
	announceDelay = 200 * time.Millisecond // from a change to announcing it, out of the way of the broadcast itself
	urgentPause   = time.Millisecond       // the same two for batches that are fetched: at once, and this times the neighbours
	gossipBytes   = 4 << 10                // of the largest batch that is gossiped; others are announced and fetched
	gapGrace      = 5 * time.Second        // after the window, until a missing number counts as lost
	MaxHaves      = 256                    // in one announcement
	maxClaimed    = 1024                   // runs of which nothing has arrived, but somebody claims to have it
	serveBytes    = 1 << 20                // of batches in the answer to one fetch
	MaxServed     = 256                    // batches in the answer to one fetch
	MaxIntervals  = 256                    // intervals of a run in one fetch
)

// A Run is one run of an author, whose broadcasts are numbered from 1.
type Run struct {
	Author string
	Boot   uint64
}

// A Record is a batch that is kept to be passed on.
type Record struct {
	Run    Run
	First  uint64 // number of its first message
	Count  int
	Data   []byte
	Origin time.Time // when it was sent, by this peer's count
}

func (r *Record) Last() uint64 { return r.First + uint64(r.Count) - 1 }

// Gossiped reports whether gossip carries a batch of this size. Gossip brings a batch
// to each peer from several sides, which is fast and does no harm as long as it is
// small. A larger one travels once to each peer: a peer that has it announces that to its
// neighbours, and they fetch it.
func Gossiped(size int) bool { return size <= gossipBytes }

// A Have says which numbers of a run a peer can serve, and how old the highest is.
type Have struct {
	Run       Run
	Low, High uint64
	Age       time.Duration
	Urgent    bool // some of them do not come by gossip: fetch at once
}

// An Announcement tells a neighbour what this peer can serve.
type Announcement struct {
	To    string
	Haves []Have
}

// A Loss is an interval of a run that nobody can have any more.
type Loss struct {
	Run         Run
	First, Last uint64
}

// Effects is what a history wants done.
type Effects struct {
	Announce []Announcement
	Fetch    []Fetch
	Ack      []AckQuery
	Lost     []Loss

	Soon, Now bool // Advance is to be called soon, or at once
}

// A History remembers the broadcasts of the last minute, within 64 MiB, of which each
// author has at least its share. It compares them with what neighbours announce, and
// fetches what is missing from one neighbour at a time.
//
// A neighbour is believed only as far as it costs little: what it claims to have is
// asked for, once, and a number counts as lost only if a higher one of its run, signed
// by the author, has arrived.
type History struct {
	rng        *rand.Rand
	seen       *Seen
	runs       map[Run]*runHistory
	authors    map[string]int // bytes kept
	bytes      int
	version    uint64 // raised with each change of a run
	urgent     uint64 // version of the last change that is announced at once
	claimed    int    // runs of which nothing has arrived
	neighbours map[string]*neighbourView
	swept      time.Time
}

type runHistory struct {
	version   uint64
	urgent    uint64
	records   []*Record // by number
	floor     uint64    // lower numbers were before our time
	top       uint64    // highest number that has arrived; 0 for none
	topOrigin time.Time
	claims    map[string]Interval // what neighbours say that they can serve
	vain      map[string]uint64   // up to which number neighbours were asked and have no more
	missing   []missing
	asked     Fetch // under way, if asked.to is not empty
	askedAt   time.Time
	answered  uint64 // highest number of what has come of it
}

type missing struct {
	Interval
	since time.Time
}

type neighbourView struct {
	told   uint64 // version up to which changes were announced to it
	next   time.Time
	urgent time.Time // of the next announcement of urgent changes, at the earliest
	heard  time.Time // when it last sent a part of an answer
	failed int       // fetches since the last that brought something
	asked  int       // fetches under way

	ackQueries []AckQuery
}

// due returns when the next announcement to a neighbour is due, if one is.
func (h *History) due(n *neighbourView) (time.Time, bool) {
	switch {
	case n.told < h.urgent && n.urgent.Before(n.next):
		return n.urgent, true
	case n.told < h.version:
		return n.next, true
	}
	return time.Time{}, false
}

func New(rng *rand.Rand) *History {
	return &History{
		rng: rng, seen: NewSeen(), runs: map[Run]*runHistory{},
		authors: map[string]int{}, neighbours: map[string]*neighbourView{},
	}
}

// Join begins to compare with a neighbour. Everything is announced to it first.
func (h *History) Join(now time.Time, id string) Effects {
	h.neighbours[id] = &neighbourView{next: now}
	return Effects{Soon: true}
}

// Leave ends that.
func (h *History) Leave(id string) {
	delete(h.neighbours, id)
	for _, r := range h.runs {
		delete(r.claims, id)
		delete(r.vain, id)
		if r.asked.To == id {
			r.asked, r.answered = Fetch{}, 0 // its view is gone
		}
	}
}

// An Arrival is a batch that has just come, of which something is new.
type Arrival struct {
	Record
	Fresh  []int  // which messages are new, as offsets from the first
	Lost   []Loss // given up for it
	before uint64 // the highest number of the run that was known
}

// Receive takes a batch of the given age. It is handled now, and not again, and to be
// kept when its signature has been checked.
func (h *History) Receive(now time.Time, rec Record, age time.Duration) Arrival {
	a := Arrival{Record: rec, before: h.seen.top(rec.Run.Author, rec.Run.Boot)}
	a.Origin = now.Add(-min(max(age, 0), 2*window))
	if r := h.runs[rec.Run]; r != nil && r.asked.To != "" && r.asked.overlaps(&rec) {
		r.askedAt, r.answered = now, max(r.answered, rec.Last()) // it is being answered
		h.neighbours[r.asked.To].failed = 0
	}
	for i := range rec.Count {
		isNew, lost := h.seen.Add(now, rec.Run.Author, rec.Run.Boot, rec.First+uint64(i))
		if isNew {
			a.Fresh = append(a.Fresh, i)
		}
		if lost.Last != 0 {
			a.Lost = append(a.Lost, Loss{Run: rec.Run, First: lost.First, Last: lost.Last})
		}
	}
	return a
}

// Keep remembers a batch to pass it on, if anything in it was new.
func (h *History) Keep(now time.Time, a Arrival) Effects {
	if len(a.Fresh) == 0 {
		return Effects{}
	}
	rec := a.Record
	r := h.open(rec.Run)
	if r.top == 0 {
		h.claimed--
		r.floor = a.before + 1 // what it was before a long silence, or 0
	}
	if r.floor <= 1 && a.before == 0 || rec.First < r.floor {
		r.floor = rec.First
	}
	if rec.Last() > r.top {
		r.top, r.topOrigin = rec.Last(), rec.Origin
	}
	for _, n := range h.neighbours {
		if n.told == h.version && n.next.Before(now.Add(announceDelay)) {
			n.next = now.Add(announceDelay)
		}
	}
	h.version++
	r.version = h.version
	if !Gossiped(len(rec.Data)) {
		h.urgent, r.urgent = h.version, h.version
	}
	if now.Sub(rec.Origin) < window {
		h.insert(r, &rec)
	}
	h.review(now, rec.Run, r)
	gossiped := Gossiped(len(rec.Data))
	return Effects{Soon: gossiped, Now: !gossiped}
}

// open returns the history of a run, which is made with nothing arrived yet.
func (h *History) open(key Run) *runHistory {
	r := h.runs[key]
	if r == nil {
		r = &runHistory{claims: map[string]Interval{}, vain: map[string]uint64{}}
		h.runs[key] = r
		h.claimed++
	}
	return r
}

func (h *History) insert(r *runHistory, rec *Record) {
	i, _ := slices.BinarySearchFunc(r.records, rec.First, func(x *Record, first uint64) int { return cmp.Compare(x.First, first) })
	r.records = slices.Insert(r.records, i, rec)
	h.authors[rec.Run.Author] += len(rec.Data)
	h.bytes += len(rec.Data)
	for h.bytes > maxHistory {
		h.evict()
	}
}

// evict drops the oldest batch of the author that takes most room.
func (h *History) evict() {
	var author string
	for a, n := range h.authors {
		if author == "" || n > h.authors[author] || n == h.authors[author] && a < author {
			author = a
		}
	}
	var oldest *runHistory
	for key, r := range h.runs {
		if key.Author == author && len(r.records) > 0 &&
			(oldest == nil || r.records[0].Origin.Before(oldest.records[0].Origin)) {
			oldest = r
		}
	}
	h.drop(oldest.records[0])
	oldest.records = oldest.records[1:]
}

// drop counts a record as gone.
func (h *History) drop(rec *Record) {
	h.bytes -= len(rec.Data)
	if h.authors[rec.Run.Author] -= len(rec.Data); h.authors[rec.Run.Author] == 0 {
		delete(h.authors, rec.Run.Author)
	}
}

// Hear takes what a neighbour announces.
func (h *History) Hear(now time.Time, from string, haves []Have) Effects {
	if h.neighbours[from] == nil {
		return Effects{}
	}
	e := Effects{Soon: true}
	for _, hd := range haves {
		e.Now = e.Now || hd.Urgent
		if hd.Low == 0 || hd.Low > hd.High || hd.High == 1<<64-1 || hd.Age > window {
			continue
		}
		if h.runs[hd.Run] == nil && h.claimed >= maxClaimed {
			continue
		}
		r := h.open(hd.Run)
		r.claims[from] = Interval{First: hd.Low, Last: hd.High}
		delete(r.vain, from)
		h.review(now, hd.Run, r)
		for i := range r.missing {
			if hd.Urgent && r.missing[i].First <= hd.High {
				r.missing[i].since = now.Add(-missDelay)
			}
		}
	}
	return e
}

// review brings up to date which numbers of a run are missing: those between the
// lowest and the highest that have arrived or that a neighbour claims to have.
func (h *History) review(now time.Time, key Run, r *runHistory) {
	low, high := r.floor, r.top
	for _, c := range r.claims {
		if low == 0 || c.First < low {
			low = c.First
		}
		high = max(high, c.Last)
	}
	old := r.missing
	r.missing = nil
	for _, gap := range h.seen.gaps(key.Author, key.Boot, low, high) {
		for len(old) > 0 && old[0].Last < gap.First {
			old = old[1:]
		}
		since := now
		for _, o := range old {
			if o.First > gap.Last {
				break
			}
			if o.since.Before(since) {
				since = o.since
			}
		}
		r.missing = append(r.missing, missing{Interval: gap, since: since})
	}
}

// Missing returns the numbers of an interval of a run that have not arrived, ascending.
func (h *History) Missing(r Run, i Interval) []Interval {
	return h.seen.gaps(r.Author, r.Boot, i.First, i.Last)
}

// Has reports whether all numbers of an interval of a run have arrived.
func (h *History) Has(r Run, i Interval) bool { return len(h.Missing(r, i)) == 0 }

// A Served is a batch that a neighbour asks for, and how long ago it was sent.
type Served struct {
	Record
	Age time.Duration
}

// Serve returns the batches that a neighbour asks for, at most 256 of them and about a
// megabyte.
func (h *History) Serve(now time.Time, f Fetch) (list []Served) {
	r := h.runs[f.Run]
	if r == nil {
		return nil
	}
	size := 0
	for _, rec := range r.records {
		if !f.overlaps(rec) || now.Sub(rec.Origin) >= window {
			continue
		}
		if size += len(rec.Data); len(list) == MaxServed || size > serveBytes && len(list) > 0 {
			break
		}
		list = append(list, Served{Record: *rec, Age: now.Sub(rec.Origin)})
	}
	return list
}

// Advance returns what is to be done now.
func (h *History) Advance(now time.Time) (out Effects) {
	h.sweep(now)
	for _, key := range slices.SortedFunc(maps.Keys(h.runs), compareRuns) {
		r := h.runs[key]
		if r.asked.To != "" && !now.Before(h.overdue(r)) {
			h.conclude(r)
		}
		if len(r.missing) == 0 {
			continue
		}
		out.Lost = append(out.Lost, h.lose(now, key, r)...)
		if r.asked.To == "" {
			if f, ok := h.choose(now, key, r); ok {
				r.asked, r.askedAt = f, now
				h.neighbours[f.To].asked++
				out.Fetch = append(out.Fetch, f)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.neighbours)) {
		n := h.neighbours[id]
		out.Ack = append(out.Ack, h.answers(n)...)
		if due, ok := h.due(n); !ok || now.Before(due) {
			continue
		}
		if haves := h.haves(now, n); len(haves) > 0 {
			out.Announce = append(out.Announce, Announcement{To: id, Haves: haves})
			n.next, n.urgent = now.Add(announcePause), now.Add(urgentPause*time.Duration(len(h.neighbours)))
		}
	}
	return out
}

func compareRuns(a, b Run) int {
	return cmp.Or(cmp.Compare(a.Author, b.Author), cmp.Compare(a.Boot, b.Boot))
}

// lose gives up what nobody can have any more, and what was never there.
func (h *History) lose(now time.Time, key Run, r *runHistory) []Loss {
	var losses []Loss
	for _, m := range r.missing {
		if now.Sub(m.since) < window+gapGrace {
			continue
		}
		first, last := max(m.First, r.floor), min(m.Last, r.top)
		if first <= last {
			losses = append(losses, Loss{Run: key, First: first, Last: last})
			h.seen.fill(key.Author, key.Boot, first, last)
		}
	}
	if losses != nil {
		h.review(now, key, r)
	}
	return losses
}

// haves returns what has changed since the last announcement to a neighbour, oldest change
// first, and notes that it is announced. What the neighbour has announced itself is no reason
// to be silent: it may have holes.
func (h *History) haves(now time.Time, n *neighbourView) []Have {
	type change struct {
		version uint64
		have    Have
	}
	var changes []change
	for key, r := range h.runs {
		if r.version > n.told && len(r.records) > 0 {
			changes = append(changes, change{r.version, Have{
				key, r.records[0].First, r.records[len(r.records)-1].Last(), now.Sub(r.topOrigin), r.urgent > n.told,
			}})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
	n.told = h.version
	if len(changes) > MaxHaves {
		changes = changes[:MaxHaves]
		n.told = changes[MaxHaves-1].version
	}
	haves := make([]Have, len(changes))
	for i, c := range changes {
		haves[i] = c.have
	}
	return haves
}

// sweep drops what is older than the window, once a second.
func (h *History) sweep(now time.Time) {
	if now.Sub(h.swept) < time.Second {
		return
	}
	h.swept = now
	for key, r := range h.runs {
		r.records = slices.DeleteFunc(r.records, func(rec *Record) bool {
			old := now.Sub(rec.Origin) >= window
			if old {
				h.drop(rec)
			}
			return old
		})
		quiet := now.Sub(r.topOrigin) >= 2*(window+gapGrace)
		if r.top == 0 { // only claims
			quiet = len(r.claims) == 0 || len(r.missing) > 0 && now.Sub(r.missing[0].since) >= 2*window
		}
		if quiet && len(r.records) == 0 && r.asked.To == "" {
			delete(h.runs, key)
			if r.top == 0 {
				h.claimed--
			}
		}
	}
}

// Deadline returns when Advance has something to do next; zero if nothing is known.
func (h *History) Deadline(now time.Time) time.Time {
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
		if r.asked.To != "" {
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
