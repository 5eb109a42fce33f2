package repair

import (
	"cmp"
	"slices"
	"time"
)

// A Fetch asks a neighbour for intervals of a run, which are sorted and apart.
type Fetch struct {
	To        string
	Run       Run
	Intervals []Interval
}

// overlaps reports whether a batch has something that is asked for.
func (f *Fetch) overlaps(rec *Record) bool {
	i, _ := slices.BinarySearchFunc(f.Intervals, rec.First, func(s Interval, first uint64) int { return cmp.Compare(s.Last, first) })
	return i < len(f.Intervals) && f.Intervals[i].First <= rec.Last()
}

func (f *Fetch) last() uint64 { return f.Intervals[len(f.Intervals)-1].Last }

// Progress notes that a neighbour is sending something, perhaps a long answer.
func (h *History) Progress(now time.Time, from string) {
	if n := h.neighbours[from]; n != nil {
		n.heard = now
	}
}

// overdue returns when the answer to a fetch counts as never to come. A neighbour that is
// busy sending something else is waited for if nobody else can be asked.
func (h *History) overdue(r *runHistory) time.Time {
	end := r.askedAt.Add(FetchTimeout)
	n := h.neighbours[r.asked.To]
	if n == nil || !n.heard.After(r.askedAt) || len(r.able(r.asked.Intervals[0])) > 1 {
		return end
	}
	end = n.heard.Add(FetchTimeout)
	if last := r.askedAt.Add(maxFetch); end.After(last) {
		end = last
	}
	return end
}

// Done takes the end of a neighbour's answer to a fetch. What it claimed and did
// not send it is not asked for again, unless it claims more.
func (h *History) Done(now time.Time, from string, key Run) Effects {
	r := h.runs[key]
	if r != nil && r.asked.To == from {
		h.conclude(r)
		h.review(now, key, r)
	}
	return Effects{Now: true} // there may be more to fetch
}

// conclude ends a fetch. What comes is in order, so that the neighbour is not asked again
// for what is missing below. A neighbour that sent nothing is asked later than others for
// other things.
func (h *History) conclude(r *runHistory) {
	n := h.neighbours[r.asked.To]
	n.asked--
	if r.answered == 0 {
		r.answered = r.asked.last()
		n.failed++
	}
	r.vain[r.asked.To] = r.answered
	r.asked, r.answered = Fetch{}, 0
}

// choose picks what to fetch next of a run, and from whom.
func (h *History) choose(now time.Time, key Run, r *runHistory) (Fetch, bool) {
	for _, m := range r.missing {
		if now.Sub(m.since) < missDelay {
			continue
		}
		able := slices.DeleteFunc(r.able(m.Interval), func(id string) bool { return h.neighbours[id].asked >= maxFetches })
		if len(able) > 0 {
			f := Fetch{To: h.best(key.Author, able), Run: key}
			for _, m := range r.missing { // also what is not late yet, so that nothing is passed over
				if s := r.offered(f.To, m.Interval); s.First <= s.Last && len(f.Intervals) < MaxIntervals {
					f.Intervals = append(f.Intervals, s)
				}
			}
			return f, true
		}
	}
	return Fetch{}, false
}

// able returns the neighbours that claim to have some of an interval and were not asked for
// it in vain, sorted.
func (r *runHistory) able(i Interval) (able []string) {
	for id := range r.claims {
		if s := r.offered(id, i); s.First <= s.Last {
			able = append(able, id)
		}
	}
	slices.Sort(able)
	return able
}

// offered returns the part of an interval that a neighbour claims to have and was not asked
// for in vain.
func (r *runHistory) offered(id string, i Interval) Interval {
	c := r.claims[id]
	return Interval{First: max(i.First, c.First, r.vain[id]+1), Last: min(i.Last, c.Last)}
}

// best returns the author itself, or one of the neighbours that failed least.
func (h *History) best(author string, able []string) string {
	least := able[:0:0]
	for _, id := range able {
		if id == author {
			return id
		}
		switch n := h.neighbours[id].failed; {
		case len(least) == 0 || n < h.neighbours[least[0]].failed:
			least = append(least[:0], id)
		case n == h.neighbours[least[0]].failed:
			least = append(least, id)
		}
	}
	return least[h.rng.IntN(len(least))]
}
