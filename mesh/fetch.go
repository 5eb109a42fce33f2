package mesh

// CORE: what to ask neighbours for, whom, and for how long to wait.

import (
	"cmp"
	"slices"
	"time"
)

// A fetch asks a neighbour for stretches of a run, which are sorted and apart.
type fetch struct {
	to        string
	run       run
	stretches []span
}

// overlaps tells whether a batch has something that is asked for.
func (f *fetch) overlaps(rec *record) bool {
	i, _ := slices.BinarySearchFunc(f.stretches, rec.first, func(s span, first uint64) int { return cmp.Compare(s.last, first) })
	return i < len(f.stretches) && f.stretches[i].first <= rec.last()
}

func (f *fetch) last() uint64 { return f.stretches[len(f.stretches)-1].last }

// progress notes that a neighbour is sending something, perhaps a long answer.
func (h *history) progress(now time.Time, from string) {
	if n := h.neighbours[from]; n != nil {
		n.heard = now
	}
}

// overdue says when the answer to a fetch will have stopped to come. Who is busy
// sending something else is waited for if nobody else can be asked.
func (h *history) overdue(r *runHistory) time.Time {
	end := r.askedAt.Add(fetchTimeout)
	n := h.neighbours[r.asked.to]
	if n == nil || !n.heard.After(r.askedAt) || len(r.able(r.asked.stretches[0])) > 1 {
		return end
	}
	end = n.heard.Add(fetchTimeout)
	if last := r.askedAt.Add(maxFetch); end.After(last) {
		end = last
	}
	return end
}

// done takes the end of a neighbour's answer to a fetch. What it claimed and did
// not send it is not asked for again, unless it claims more.
func (h *history) done(now time.Time, from string, key run) {
	r := h.runs[key]
	if r == nil || r.asked.to != from {
		return
	}
	h.conclude(r)
	h.review(now, key, r)
}

// conclude ends a fetch. What comes is in order, so that the neighbour is not asked
// again for what is missing below; who sent nothing is asked later than others for
// other things.
func (h *history) conclude(r *runHistory) {
	n := h.neighbours[r.asked.to]
	n.asked--
	if r.answered == 0 {
		r.answered = r.asked.last()
		n.failed++
	}
	r.vain[r.asked.to] = r.answered
	r.asked, r.answered = fetch{}, 0
}

// choose picks what to fetch next of a run, and from whom.
func (h *history) choose(now time.Time, key run, r *runHistory) (fetch, bool) {
	for _, m := range r.missing {
		if now.Sub(m.since) < missDelay {
			continue
		}
		able := slices.DeleteFunc(r.able(m.span), func(id string) bool { return h.neighbours[id].asked >= maxFetches })
		if len(able) > 0 {
			f := fetch{to: h.best(key.author, able), run: key}
			for _, m := range r.missing { // also what is not late yet, so that nothing is passed over
				if s := r.offered(f.to, m.span); s.first <= s.last && len(f.stretches) < maxStretches {
					f.stretches = append(f.stretches, s)
				}
			}
			return f, true
		}
	}
	return fetch{}, false
}

// able returns the neighbours that claim to have some of a stretch and were not asked
// for it in vain, sorted.
func (r *runHistory) able(stretch span) (able []string) {
	for id := range r.claims {
		if s := r.offered(id, stretch); s.first <= s.last {
			able = append(able, id)
		}
	}
	slices.Sort(able)
	return able
}

// offered is that part of a stretch which a neighbour claims to have and was not asked
// for in vain.
func (r *runHistory) offered(id string, stretch span) span {
	c := r.claims[id]
	return span{max(stretch.first, c.first, r.vain[id]+1), min(stretch.last, c.last)}
}

// best picks the author itself, or one of those that failed least.
func (h *history) best(author string, able []string) string {
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
