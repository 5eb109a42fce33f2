package repair

import (
	"slices"
	"time"
)

// maxAckQueries of one neighbour wait for their answers; beyond them the oldest goes.
const maxAckQueries = 64

// An AckQuery is the question of a neighbour to be told when this peer has an interval of a
// run.
type AckQuery struct {
	From     string
	Nonce    uint64
	Run      Run
	Interval Interval
}

// Ask takes a question of a neighbour. Advance answers it.
func (h *History) Ask(q AckQuery) Effects {
	n := h.neighbours[q.From]
	if n == nil || q.Interval.First == 0 || q.Interval.First > q.Interval.Last {
		return Effects{}
	}
	if len(n.ackQueries) == maxAckQueries {
		n.ackQueries = n.ackQueries[1:]
	}
	n.ackQueries = append(n.ackQueries, q)
	return Effects{Soon: true}
}

// answers returns the questions of a neighbour that can be answered now, and forgets them.
func (h *History) answers(n *neighbourView) (answered []AckQuery) {
	n.ackQueries = slices.DeleteFunc(n.ackQueries, func(q AckQuery) bool {
		has := len(h.seen.gaps(q.Run.Author, q.Run.Boot, q.Interval.First, q.Interval.Last)) == 0
		if has {
			answered = append(answered, q)
		}
		return has
	})
	return answered
}

// Since returns the lowest number of a run among the batches that are kept and were
// sent at or after a time; 0 if there is none.
func (h *History) Since(key Run, when time.Time) uint64 {
	r := h.runs[key]
	if r == nil {
		return 0
	}
	for _, rec := range r.records {
		if !rec.Origin.Before(when) {
			return rec.First
		}
	}
	return 0
}
