package legacy

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxWaiting  = 4096                  // questions of others that wait for an answer
	answerPause = 20 * time.Millisecond // of answers to py
)

// Lookup begins a lookup of a key. It ends when three copies agree, or with all it has five answers, or at until.
// Error: ErrNoPeers.
func (t *DHT) Lookup(now, until time.Time, key string, all bool) (*Lookup, Effects, error) {
	l, err := t.look(now, until, key, all)
	return l, t.node.take(), err
}

func (t *DHT) look(now, until time.Time, key string, all bool) (*Lookup, error) {
	l := &Lookup{places: t.ring.places(key), all: all, until: until}
	for i, pl := range l.places {
		if _, known := t.at(pl); !known {
			return nil, ErrNoPeers
		}
		t.ask(now, pl, question{l: l, index: i, since: now})
	}
	t.lookups = append(t.lookups, l)
	t.advance(now)
	return l, nil
}

// retrieve answers the question of another node for a copy, or passes it on to the node that stores its place.
func (t *DHT) retrieve(now time.Time, s *Session, args []any) {
	pl := placeOf(args)
	if target, known := t.at(pl); known && target != nil && target != s {
		t.ask(now, pl, question{from: s, args: args, since: now})
		if t.version == wire.V7 {
			t.answer(now, s, args, nil)
		}
		return
	}
	t.answer(now, s, args, t.copies.at[pl])
}

// answer answers a question of another node, in the node's own words. In 0.6 a node does not answer that it has
// nothing. py waits for ever if an answer comes before it has noted its question, so that it is answered a little
// later.
func (t *DHT) answer(now time.Time, s *Session, args []any, v any) {
	sub := wire.Retrieved
	if t.narrow() {
		sub = wire.Response
	}
	if v == nil && t.version == wire.V6 {
		return
	}
	if v == nil && t.version < wire.V6 {
		v = []byte{}
	}
	if s.peer.Language == wire.Python && len(t.answers) < maxWaiting {
		t.answers = append(t.answers, pending{due: now.Add(answerPause), to: s, sub: sub, args: []any{args[0], args[1], v}})
		return
	}
	t.node.send(now, s, wire.Whisper, sub, args[0], args[1], v)
}

// ask asks the node that stores a place for its copy.
func (t *DHT) ask(now time.Time, pl place, q question) {
	target, known := t.at(pl)
	switch {
	case known && target == nil, !known:
		if q.l != nil {
			q.l.answer(q.index, t.copies.at[pl])
		}
	case len(t.asked) < maxWaiting:
		t.asked[pl] = append(t.asked[pl], q)
		method, key := t.encodePlace(target, pl)
		t.node.send(now, target, wire.Whisper, wire.Retrieve, method, key)
	}
}

// retrieved hands a copy to all who wait for it. In 0.7 an answer of nothing is not final.
func (t *DHT) retrieved(now time.Time, pl place, v any) {
	if Absent(t.version, v) {
		v = nil
	}
	for _, q := range t.asked[pl] {
		if q.l != nil && v == nil {
			q.l.answer(q.index, t.copies.at[pl]) // a node that has left the ring may have given it to this one
		} else if q.l != nil {
			q.l.answer(q.index, v)
		} else if v != nil || t.version != wire.V7 {
			t.answer(now, q.from, q.args, v)
		}
	}
	if v != nil || t.version != wire.V7 {
		delete(t.asked, pl)
	}
	t.advance(now)
}

// left asks other nodes for what a node that has left was asked.
func (t *DHT) left(now time.Time, s *Session) {
	for _, l := range t.lookups {
		for i, pl := range l.places {
			if !l.said[i] {
				t.ask(now, pl, question{l: l, index: i, since: now})
			}
		}
	}
	for pl, list := range t.asked {
		t.asked[pl] = slices.DeleteFunc(list, func(q question) bool { return q.from == s })
	}
}

func (t *DHT) deadline() (first time.Time) {
	if len(t.answers) > 0 {
		first = t.answers[0].due
	}
	for _, l := range t.lookups {
		if d := l.deadline(); first.IsZero() || d.Before(first) {
			first = d
		}
	}
	return first
}

func (t *DHT) advance(now time.Time) {
	for len(t.answers) > 0 && !now.Before(t.answers[0].due) {
		a := t.answers[0]
		t.answers = t.answers[1:]
		if !a.to.over {
			t.node.send(now, a.to, wire.Whisper, a.sub, a.args...)
		}
	}
	t.lookups = slices.DeleteFunc(t.lookups, func(l *Lookup) bool {
		if !l.advance(now, t.version) {
			return false
		}
		t.node.out.Found = append(t.node.out.Found, l)
		return true
	})
	for pl, list := range t.asked {
		list = slices.DeleteFunc(list, func(q question) bool {
			return now.Sub(q.since) >= LookupTime || q.l != nil && q.l.over
		})
		if t.asked[pl] = list; len(list) == 0 {
			delete(t.asked, pl)
		}
	}
}
