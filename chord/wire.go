package chord

// CORE: the bytes of questions and answers.

import (
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
)

const (
	maxPeer    = 128 // bytes of a peer ID
	maxWriter  = 512 // bytes of a writer's name
	maxMessage = 2*MaxValue + 1<<16
)

// The kinds of questions.
const (
	askGreet  = 0 // [id, 0, k, view]
	askFind   = 1 // [id, 1, position]
	askClaim  = 2 // [id, 2, slot]
	askDepart = 3 // [id, 3, view]
	askGet    = 4 // [id, 4, key, index, offset, brief]
	askPut    = 5 // [id, 5, key, index, offset, version, deleted, age, value]
	askFetch  = 6 // [id, 6, key, brief]: whatever the role
	askOffer  = 7 // [id, 7, key, version, deleted, age, value]: likewise
	askPage   = 8 // [id, 8, from, length, first, start, prefix, dead, values]
	askWatch  = 9 // [id, 9, run, revision, prefix]

	askPrepare = 10 // [id, 10, key, index, offset, brief, version]
	askCount   = 11 // [id, 11]
)

// A question is asked of another node.
type question struct {
	kind     uint64
	k        circle
	view     *view
	position slot // find, claim
	key      string
	role     role
	brief    bool // no value
	write    write
	value    string
	sel      selection
	values   bool
	run      uint64
	revision uint64
}

// The kinds of answers.
const (
	sayView    = 0 // [id, 0, owns, view, [next …]]
	sayRefused = 1 // [id, 1, k]
	sayClaim   = 2 // [id, 2, verdict, view, [next …]]
	sayNotMine = 3 // [id, 3, view, [next …]]
	sayHeld    = 4 // [id, 4, filling, homes, version, deleted, age, [] or [value]]
	sayDone    = 5 // [id, 5, filling, homes, outcome, version]
	sayPage    = 6 // [id, 6, filling, [] or [next], [entry …]]
	sayChanges = 7 // [id, 7, run, revision, missed, [entry …]]
	sayFailed  = 8 // [id, 8, text]
	sayCount   = 9 // [id, 9, filling, keys]
)

// A reply answers a question.
type reply struct {
	kind     uint64
	k        circle
	owns     bool
	view     *view
	next     []node
	verdict  verdict
	filling  bool
	homes    int // held, done: that a key has, as far as this node knows
	outcome  outcome
	write    write  // held: what; done: the version that stands
	value    string // held
	whole    bool   // held: the value is there
	more     bool   // page
	start    string // page: where to go on
	entries  []entry
	run      uint64
	missed   bool // changes: some are remembered no more
	revision uint64
	text     string
	count    int
}

func appendNode(dst []byte, n node) []byte {
	return dcbor.AppendBytes(dcbor.AppendUint(dcbor.AppendArray(dst, 2), uint64(n.slot)), n.peer)
}

func appendNodes(dst []byte, nodes []node) []byte {
	dst = dcbor.AppendArray(dst, len(nodes))
	for _, n := range nodes {
		dst = appendNode(dst, n)
	}
	return dst
}

func scanNode(s *dcbor.Scanner) node {
	s.Tuple(2)
	return node{slot(s.Uint()), scanString(s, maxPeer)}
}

func scanNodes(s *dcbor.Scanner) (nodes []node) {
	n := s.Array(listed)
	for range n {
		nodes = append(nodes, scanNode(s))
	}
	return nodes
}

func (v *view) append(dst []byte) []byte {
	dst = dcbor.AppendBool(appendNode(dcbor.AppendArray(dst, 7), v.self), v.stores)
	dst = dcbor.AppendUint(dcbor.AppendUint(dst, v.ring), v.merges)
	return appendNodes(appendNodes(dcbor.AppendUint(dst, uint64(v.age.Milliseconds())), v.preds), v.succs)
}

func scanView(s *dcbor.Scanner) *view {
	s.Tuple(7)
	return &view{scanNode(s), s.Bool(), s.Uint(), s.Uint(), scanAge(s), scanNodes(s), scanNodes(s)}
}

func (q *question) append(dst []byte, id uint64, now time.Time) []byte {
	head := func(n int) []byte {
		return dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(dst, 2+n), id), q.kind)
	}
	withRole := func(dst []byte) []byte {
		dst = dcbor.AppendBytes(dst, q.key)
		return dcbor.AppendUint(dcbor.AppendUint(dst, uint64(q.role.index)), uint64(q.role.offset))
	}
	switch q.kind {
	case askGreet:
		return q.view.append(dcbor.AppendUint(head(2), uint64(q.k)))
	case askFind, askClaim:
		return dcbor.AppendUint(head(1), uint64(q.position))
	case askDepart:
		return q.view.append(head(1))
	case askGet:
		return dcbor.AppendBool(withRole(head(4)), q.brief)
	case askPut:
		return dcbor.AppendBytes(q.write.append(withRole(head(7)), now), q.value)
	case askPrepare:
		return q.write.version.append(dcbor.AppendBool(withRole(head(5)), q.brief))
	case askFetch:
		return dcbor.AppendBool(dcbor.AppendBytes(head(2), q.key), q.brief)
	case askCount:
		return head(0)
	case askOffer:
		return dcbor.AppendBytes(q.write.append(dcbor.AppendBytes(head(5), q.key), now), q.value)
	case askPage:
		dst = dcbor.AppendUint(dcbor.AppendUint(head(7), uint64(q.sel.from)), q.sel.length)
		dst = dcbor.AppendBytes(dcbor.AppendBytes(dcbor.AppendBool(dst, q.sel.first), q.sel.start), q.sel.prefix)
		return dcbor.AppendBool(dcbor.AppendBool(dst, q.sel.dead), q.values)
	}
	return dcbor.AppendBytes(dcbor.AppendUint(dcbor.AppendUint(head(3), q.run), q.revision), q.sel.prefix)
}

// scanQuestion reads a question.
func scanQuestion(data []byte, now time.Time) (id uint64, q *question, err error) {
	s := dcbor.Scan(data)
	fields := s.Array(10)
	id = s.Uint()
	q = &question{kind: s.Uint()}
	want := map[uint64]int{askGreet: 2, askFind: 1, askClaim: 1, askDepart: 1, askGet: 4, askPut: 7, askFetch: 2, askOffer: 5, askPage: 7, askWatch: 3, askPrepare: 5, askCount: 0}
	if n, ok := want[q.kind]; !ok || fields != 2+n {
		return id, nil, dcbor.ErrForm
	}
	withRole := func() {
		q.key = scanString(&s, MaxKey)
		q.role = role{int(min(s.Uint(), copies)), int(min(s.Uint(), copies))}
		if q.role.index == copies || q.role.offset == copies {
			s.Fail()
		}
	}
	value := func() {
		q.value = scanString(&s, MaxValue)
		q.write.size = len(q.value)
	}
	switch q.kind {
	case askGreet:
		q.k, q.view = circle(min(s.Uint(), 1<<8)), scanView(&s)
	case askFind, askClaim:
		q.position = slot(s.Uint())
	case askDepart:
		q.view = scanView(&s)
	case askGet:
		withRole()
		q.brief = s.Bool()
	case askPut:
		withRole()
		q.write = scanWrite(&s, now)
		value()
	case askPrepare:
		withRole()
		q.brief, q.write.version = s.Bool(), scanVersion(&s)
	case askFetch:
		q.key, q.brief = scanString(&s, MaxKey), s.Bool()
	case askOffer:
		q.key, q.write = scanString(&s, MaxKey), scanWrite(&s, now)
		value()
	case askPage:
		q.sel = selection{arc{slot(s.Uint()), s.Uint()}, s.Bool(), scanString(&s, MaxKey+1), scanString(&s, MaxKey), s.Bool()}
		q.values = s.Bool()
	case askWatch:
		q.run, q.revision, q.sel.prefix = s.Uint(), s.Uint(), scanString(&s, MaxKey)
	}
	return id, q, s.End()
}

func (a *reply) append(dst []byte, id uint64, now time.Time) []byte {
	head := func(n int) []byte {
		return dcbor.AppendUint(dcbor.AppendUint(dcbor.AppendArray(dst, 2+n), id), a.kind)
	}
	switch a.kind {
	case sayView:
		return appendNodes(a.view.append(dcbor.AppendBool(head(3), a.owns)), a.next)
	case sayRefused:
		return dcbor.AppendUint(head(1), uint64(a.k))
	case sayClaim:
		return appendNodes(a.view.append(dcbor.AppendUint(head(3), uint64(a.verdict))), a.next)
	case sayNotMine:
		return appendNodes(a.view.append(head(2)), a.next)
	case sayHeld:
		dst = a.write.append(dcbor.AppendUint(dcbor.AppendBool(head(6), a.filling), uint64(a.homes)), now)
		if !a.whole {
			return dcbor.AppendArray(dst, 0)
		}
		return dcbor.AppendBytes(dcbor.AppendArray(dst, 1), a.value)
	case sayDone:
		dst = dcbor.AppendUint(dcbor.AppendBool(head(4), a.filling), uint64(a.homes))
		return a.write.version.append(dcbor.AppendUint(dst, uint64(a.outcome)))
	case sayPage:
		dst = dcbor.AppendBool(head(3), a.filling)
		if a.more {
			dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 1), a.start)
		} else {
			dst = dcbor.AppendArray(dst, 0)
		}
		return appendEntries(dst, a.entries, now)
	case sayChanges:
		dst = dcbor.AppendBool(dcbor.AppendUint(dcbor.AppendUint(head(4), a.run), a.revision), a.missed)
		return appendEntries(dst, a.entries, now)
	case sayCount:
		return dcbor.AppendUint(dcbor.AppendBool(head(2), a.filling), uint64(a.count))
	}
	return dcbor.AppendText(head(1), a.text)
}

func appendEntries(dst []byte, entries []entry, now time.Time) []byte {
	dst = dcbor.AppendArray(dst, len(entries))
	for _, e := range entries {
		dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 5), e.key)
		dst = dcbor.AppendBytes(e.write.append(dst, now), e.value)
	}
	return dst
}

func scanEntries(s *dcbor.Scanner, now time.Time) (entries []entry) {
	n := s.Array(maxPage)
	for range n {
		s.Tuple(5)
		e := entry{key: scanString(s, MaxKey), write: scanWrite(s, now), value: scanString(s, MaxValue)}
		if s.Bad() {
			return nil
		}
		e.write.size = len(e.value)
		entries = append(entries, e)
	}
	return entries
}

// scanReply reads an answer.
func scanReply(data []byte, now time.Time) (id uint64, a *reply, err error) {
	s := dcbor.Scan(data)
	fields := s.Array(8)
	id = s.Uint()
	a = &reply{kind: s.Uint()}
	want := []int{sayView: 3, sayRefused: 1, sayClaim: 3, sayNotMine: 2, sayHeld: 6, sayDone: 4, sayPage: 3, sayChanges: 4, sayFailed: 1, sayCount: 2}
	if a.kind >= uint64(len(want)) || fields != 2+want[a.kind] {
		return id, nil, dcbor.ErrForm
	}
	switch a.kind {
	case sayView:
		a.owns, a.view, a.next = s.Bool(), scanView(&s), scanNodes(&s)
	case sayRefused:
		a.k = circle(min(s.Uint(), 1<<8))
	case sayClaim:
		a.verdict, a.view, a.next = verdict(min(s.Uint(), uint64(busy))), scanView(&s), scanNodes(&s)
	case sayNotMine:
		a.view, a.next = scanView(&s), scanNodes(&s)
	case sayHeld:
		a.filling, a.homes, a.write = s.Bool(), int(min(s.Uint(), copies)), scanWrite(&s, now)
		if a.whole = s.Array(1) == 1; a.whole {
			a.value = scanString(&s, MaxValue)
			a.write.size = len(a.value)
		}
	case sayDone:
		a.filling, a.homes, a.outcome, a.write.version = s.Bool(), int(min(s.Uint(), copies)), outcome(min(s.Uint(), uint64(full))), scanVersion(&s)
	case sayPage:
		a.filling = s.Bool()
		if a.more = s.Array(1) == 1; a.more {
			a.start = scanString(&s, MaxKey+1)
		}
		a.entries = scanEntries(&s, now)
	case sayChanges:
		a.run, a.revision, a.missed = s.Uint(), s.Uint(), s.Bool()
		a.entries = scanEntries(&s, now)
	case sayFailed:
		a.text = string(s.Text())
	case sayCount:
		a.filling, a.count = s.Bool(), int(min(s.Uint(), 1<<40))
	}
	return id, a, s.End()
}
