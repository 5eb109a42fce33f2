package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxWaiting  = 4096                  // questions of others that wait for an answer
	answerPause = 20 * time.Millisecond // of answers to py, which asks first and then waits
)

// A pending is an answer to a question that is not sent yet.
type pending struct {
	due  time.Time
	to   *Session
	sub  wire.Flag
	args []any
}

// A question is who waits for a copy: a lookup of this node, or another node.
type question struct {
	l     *Lookup
	index int
	from  *Session
	args  []any // method and key as the other has written them
	since time.Time
}

// retrieve answers a question, or passes it on.
func (t *DHT) retrieve(now time.Time, s *Session, args []any) {
	pl := placeOf(args)
	if target, known := t.at(pl); known && target != nil && target != s {
		t.ask(now, pl, question{from: s, args: args, since: now})
		if t.node.net.Version == wire.V7 {
			t.answer(now, s, args, nil)
		}
		return
	}
	t.answer(now, s, args, t.copies.at[pl])
}

// answer answers a question of another node, in its words. In 0.6 nothing is said where
// there is nothing. A py node that has an answer before it has noted that it has asked
// waits for ever, so that it gets it a little later.
func (t *DHT) answer(now time.Time, s *Session, args []any, v any) {
	sub := wire.Retrieved
	if t.narrow() {
		sub = wire.Response
	}
	if v == nil && t.node.net.Version == wire.V6 {
		return
	}
	if v == nil && t.node.net.Version < wire.V6 {
		v = []byte{}
	}
	if s.peer.Language == wire.Python && len(t.answers) < maxWaiting {
		t.answers = append(t.answers, pending{due: now.Add(answerPause), to: s, sub: sub, args: []any{args[0], args[1], v}})
		return
	}
	t.node.send(now, s, wire.Whisper, sub, args[0], args[1], v)
}

// ask asks who has it for a copy.
func (t *DHT) ask(now time.Time, pl place, q question) {
	target, known := t.at(pl)
	switch {
	case known && target == nil, !known:
		if q.l != nil {
			q.l.answer(q.index, t.copies.at[pl])
		}
	case len(t.asked) < maxWaiting:
		t.asked[pl] = append(t.asked[pl], q)
		method, key := t.words(target, pl)
		t.node.send(now, target, wire.Whisper, wire.Retrieve, method, key)
	}
}

// retrieved takes a copy, for all who wait for it. Nothing is not final in 0.7.
func (t *DHT) retrieved(now time.Time, pl place, v any) {
	if Absent(t.node.net.Version, v) {
		v = nil
	}
	for _, q := range t.asked[pl] {
		if q.l != nil && v == nil {
			q.l.answer(q.index, t.copies.at[pl]) // who has left the ring may have given it to this node
		} else if q.l != nil {
			q.l.answer(q.index, v)
		} else if v != nil || t.node.net.Version != wire.V7 {
			t.answer(now, q.from, q.args, v)
		}
	}
	if v != nil || t.node.net.Version != wire.V7 {
		delete(t.asked, pl)
	}
	t.advance(now)
}
