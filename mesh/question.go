package mesh

// CORE: neighbours that want to be told when this peer has certain broadcasts.

import (
	"slices"
	"time"
)

// maxQuestions of one neighbour wait for their answers; beyond them the oldest goes.
const maxQuestions = 64

// A question asks for an answer as soon as this peer has a stretch of a run.
type question struct {
	from  string
	nonce uint64
	run   run
	span  span
}

// ask takes a question of a neighbour. It is answered by advance.
func (h *history) ask(q question) {
	n := h.neighbours[q.from]
	if n == nil || q.span.first == 0 || q.span.first > q.span.last {
		return
	}
	if len(n.questions) == maxQuestions {
		n.questions = n.questions[1:]
	}
	n.questions = append(n.questions, q)
}

// answers takes the questions of a neighbour away that can be answered now.
func (h *history) answers(n *neighbourView) (answered []question) {
	n.questions = slices.DeleteFunc(n.questions, func(q question) bool {
		has := len(h.seen.gaps(q.run.author, q.run.boot, q.span.first, q.span.last)) == 0
		if has {
			answered = append(answered, q)
		}
		return has
	})
	return answered
}

// since returns the lowest number of a run among the batches that are kept and were
// sent at or after a time; 0 if there is none.
func (h *history) since(key run, when time.Time) uint64 {
	r := h.runs[key]
	if r == nil {
		return 0
	}
	for _, rec := range r.records {
		if !rec.origin.Before(when) {
			return rec.first
		}
	}
	return 0
}
