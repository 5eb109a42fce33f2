package sync

// CORE: two replicas find what differs between them, from fingerprints of ranges.

import (
	"crypto/sha256"
	"errors"
	"slices"
	"time"
)

const (
	firstSplit  = 1024     // ranges of the first answer, at most
	laterSplit  = 16       // ranges that a range which differs is split into
	maxListed   = 64       // records in a range that is listed rather than split
	listBytes   = 1 << 20  // of lists in one message; what is beyond waits for the next round
	chunkBytes  = 64 << 10 // of records in one message, if they are of more than one batch
	maxRounds   = 64       // of one session
	sumLength   = 8        // bytes of a fingerprint in a range
	shortLength = 6        // bytes of a record's hash in a list
	saltLength  = 8
)

// errReconcile says that the other replica does not keep to the protocol.
var errReconcile = errors.New("the other replica does not keep to the rules of reconciliation")

// errClash says that another copy of this peer has written.
var errClash = errors.New("the other replica knows more of what this peer has written than it does itself")

// A reconciliation compares this replica with another one. The messages go to and fro:
//
//	A → B  root: a fingerprint of everything. If B has the same, it says so: the end.
//	B → A  what B has seen, and fingerprints of ranges
//	A → B  what A has seen, and, of the ranges that differ, finer ones, or the list of
//	       its records if they are few, with those that B has not seen
//	B → A  likewise; to a list it answers with the records that A has not seen, and which
//	       of those listed are dead
//	…      until nobody asks any more
//
// Then each counts as seen what the other had seen when it said so. Both may change
// meanwhile: what one lacks of what it has seen is dead at any later time, too.
type reconciliation struct {
	r      *replica
	salt   []byte
	theirs seenSet // nil until they told
	told   bool    // they were told what this replica has seen
	rounds int
	lists  [][]*entry // that wait for their answers, in order
	queue  []*entry   // to be sent before the next message
	done   bool
}

// What is said of a range.
const (
	rangeSkip = 0 // nothing
	rangeSum  = 1 // its fingerprint: a question
	rangeList = 2 // all of its records, as short hashes: a question
	rangeDead = 3 // which of those that the other has listed are dead, by their places
)

// An answer says something of a range, which begins where the last one ended.
type answer struct {
	hi   string // its end; "" for that of everything
	kind uint64
	data []byte   // of a sum, or a list: short hashes, one after the other
	dead []uint64 // places in the list, ascending
}

func (a *answer) asks() bool { return a.kind == rangeSum || a.kind == rangeList }

// A message of a session is a root, equal, records with their proofs, or ranges; the
// others are not for the session.
type message struct {
	root   *root
	equal  bool
	proofs []*batch
	seen   seenSet // with the first ranges
	ranges []answer

	params  *params // the first: those of the one who asks
	refused *params // the answer to others: one's own
	busy    bool    // the answer of one who catches up with somebody else
	ask     *dot    // the first and only: tell me when you have this, and all before it
	have    bool    // the answer
}

type root struct {
	salt      []byte
	sum, seen digest
}

func newReconciliation(r *replica) *reconciliation { return &reconciliation{r: r} }

// start begins a session, as the one who asks.
func (s *reconciliation) start(salt []byte) message {
	s.salt = salt
	return message{root: s.root(salt)}
}

func (s *reconciliation) root(salt []byte) *root {
	return &root{salt, s.r.tree.summarise(span{}).fingerprint(salt), s.r.seen.hash()}
}

// equals tells whether a root is the one of this replica.
func (s *reconciliation) equals(m message) bool {
	mine := s.root(m.root.salt)
	return mine.sum == m.root.sum && mine.seen == m.root.seen
}

// A step is what follows from a message of a reconciliation.
type step struct {
	effects
	records []group  // to be sent before the reply, with appendChunk
	reply   *message // nil if none is due
	done    bool     // the two are level
}

// receive takes a message whose proofs have been checked.
func (s *reconciliation) receive(now instant, m message) (next step, err error) {
	next.reply, err = s.answer(now, m, &next.effects)
	next.records, next.done = s.regroup(), s.done
	return next, err
}

func (s *reconciliation) answer(now instant, m message, out *effects) (reply *message, err error) {
	switch {
	case s.done:
		return nil, errReconcile
	case m.root != nil:
		if s.salt != nil || len(m.root.salt) != saltLength {
			return nil, errReconcile
		}
		s.salt = m.root.salt
		if s.equals(m) {
			s.done = true
			return &message{equal: true}, nil
		}
		reply = &message{}
		s.split(reply, span{}, firstSplit)
		s.tell(reply)
		return reply, nil
	case m.equal:
		s.done = true
		return nil, nil
	case m.proofs != nil:
		for _, b := range m.proofs {
			out.changes = slices.Grow(out.changes, b.alive)
			for _, e := range b.leaves {
				if e != nil {
					s.r.adopt(now, e, out)
				}
			}
		}
		if out.full {
			err = ErrFull // and what is not here is not dead
		}
		return nil, err
	}
	if s.rounds++; s.rounds > maxRounds {
		return nil, errReconcile
	}
	if m.seen != nil {
		s.theirs = m.seen
		if s.r.outdated(m.seen) {
			out.clash = true
			return nil, errClash
		}
	}
	if s.theirs == nil || s.salt == nil {
		return nil, errReconcile
	}
	reply, err = s.compare(now, m.ranges, out)
	if err != nil {
		return nil, err
	}
	asking := slices.ContainsFunc(reply.ranges, func(a answer) bool { return a.asks() })
	if asked := slices.ContainsFunc(m.ranges, func(a answer) bool { return a.asks() }); asked {
		s.tell(reply)
	} else {
		reply = nil
	}
	if !asking {
		s.done = true
		s.r.unite(now, s.theirs, out)
	}
	return reply, nil
}

// tell adds what this replica has seen to its first ranges.
func (s *reconciliation) tell(reply *message) {
	if !s.told {
		s.told, reply.seen = true, s.r.seen.clone()
	}
}

// compare answers ranges.
func (s *reconciliation) compare(now instant, ranges []answer, out *effects) (*message, error) {
	reply := &message{}
	lists := s.lists
	s.lists = nil
	lo, bytes := "", 0
	for i, a := range ranges {
		in := span{lo, a.hi}
		if lo != "" && a.hi != "" && a.hi <= lo || a.hi == "" && i+1 < len(ranges) {
			return nil, errReconcile
		}
		lo = a.hi
		switch a.kind {
		case rangeSkip:
			reply.skip(a.hi)
		case rangeSum:
			sum := s.sum(in)
			switch n := s.r.tree.summarise(in).count; {
			case string(sum) == string(a.data):
				reply.skip(a.hi)
			case bytes > listBytes:
				reply.ranges = append(reply.ranges, answer{hi: a.hi, kind: rangeSum, data: sum})
			case n <= maxListed:
				bytes += s.list(reply, in)
			default:
				s.split(reply, in, laterSplit)
			}
		case rangeList:
			s.answerList(now, reply, in, a, out)
		case rangeDead:
			if len(lists) == 0 {
				return nil, errReconcile
			}
			for _, place := range a.dead {
				if place < uint64(len(lists[0])) {
					e := lists[0][place]
					s.r.bury(now, e.key, e.dot, s.theirs, out)
				}
			}
			lists = lists[1:]
			reply.skip(a.hi)
		}
	}
	if len(lists) > 0 {
		return nil, errReconcile
	}
	return reply, nil
}

// skip says nothing of a range.
func (m *message) skip(hi string) {
	if n := len(m.ranges); n > 0 && m.ranges[n-1].kind == rangeSkip {
		m.ranges[n-1].hi = hi
		return
	}
	m.ranges = append(m.ranges, answer{hi: hi})
}

func (s *reconciliation) sum(in span) []byte {
	sum := s.r.tree.summarise(in).fingerprint(s.salt)
	return sum[:sumLength]
}

// split says the fingerprints of parts of a range, which have about as many records
// each.
func (s *reconciliation) split(reply *message, in span, parts int) {
	t := &s.r.tree
	n := t.summarise(in).count
	parts = max(1, min(parts, n/(maxListed/2)))
	first := 0
	if t.root != nil {
		first = t.root.below(in.lo).count
	}
	lo := in.lo
	for i := 1; i <= parts; i++ {
		hi := in.hi
		if i < parts {
			at := first + i*n/parts
			hi = between(t.at(at-1).key, t.at(at).key)
		}
		reply.ranges = append(reply.ranges, answer{hi: hi, kind: rangeSum, data: s.sum(span{lo, hi})})
		lo = hi
	}
}

// between is the shortest text above a and not above b, which is greater.
func between(a, b string) string {
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return b[:i+1]
}

// short is a record's hash in lists of this session.
func (s *reconciliation) short(e *entry) (h [shortLength]byte) {
	sum := sha256.Sum256(append(append(make([]byte, 0, 32), s.salt...), e.hash[:]...))
	copy(h[:], sum[:])
	return h
}

// list lists the records of a range, and sends those that the other has not seen. A
// range without any goes together with one before it.
func (s *reconciliation) list(reply *message, in span) (bytes int) {
	var listed []*entry
	a := answer{hi: in.hi, kind: rangeList}
	for e := range s.r.tree.all(in) {
		h := s.short(e)
		a.data = append(a.data, h[:]...)
		listed = append(listed, e)
		if !s.theirs.has(e.dot) {
			s.queue = append(s.queue, e)
		}
	}
	if n := len(reply.ranges); n > 0 && len(listed) == 0 && reply.ranges[n-1].kind == rangeList && len(reply.ranges[n-1].data) == 0 {
		reply.ranges[n-1].hi = in.hi
		return 0
	}
	s.lists = append(s.lists, listed)
	reply.ranges = append(reply.ranges, a)
	return len(a.data) + len(in.hi)
}

// answerList sends what is not in a list and was not seen by the other, buries what it
// has seen, and says which of the listed are dead: those that are not here, for all that
// this replica has not seen came with the list.
func (s *reconciliation) answerList(now instant, reply *message, in span, a answer, out *effects) {
	places := map[[shortLength]byte]int{}
	for i := 0; i+shortLength <= len(a.data); i += shortLength {
		places[[shortLength]byte(a.data[i:])] = i / shortLength
	}
	var dead []*entry
	for e := range s.r.tree.all(in) {
		listed := false
		if len(places) > 0 {
			h := s.short(e)
			_, listed = places[h]
			delete(places, h)
		}
		switch {
		case listed:
		case s.theirs.has(e.dot):
			dead = append(dead, e)
		default:
			s.queue = append(s.queue, e)
		}
	}
	for _, e := range dead {
		s.r.bury(now, e.key, e.dot, s.theirs, out)
	}
	gone := make([]uint64, 0, len(places))
	for _, place := range places {
		gone = append(gone, uint64(place))
	}
	slices.Sort(gone)
	reply.ranges = append(reply.ranges, answer{hi: in.hi, kind: rangeDead, dead: gone})
}

// A group is some of the records of a batch, by their places.
type group struct {
	batch  *batch
	places []int
}

// regroup returns what is queued in groups: records of one batch share most of their
// proof.
func (s *reconciliation) regroup() (groups []group) {
	if len(s.queue) == 0 {
		return nil
	}
	type chosen [maxBatch]bool
	of := map[*batch]*chosen{}
	for _, e := range s.queue {
		c := of[e.batch]
		if c == nil {
			c = &chosen{}
			of[e.batch] = c
			groups = append(groups, group{batch: e.batch})
		}
		c[e.leaf] = true
	}
	for i := range groups {
		g := &groups[i]
		for place := range g.batch.leaves {
			if of[g.batch][place] {
				g.places = append(g.places, place)
			}
		}
	}
	s.queue = nil
	return groups
}

// appendChunk returns a message with the first of some records, and the records that are
// left. The message is nil if none of them lives any more.
func appendChunk(groups []group, count time.Duration) (body []byte, rest []group) {
	var chunk []group
	for bytes := 0; len(groups) > 0 && bytes < chunkBytes; groups = groups[1:] {
		g := groups[0]
		g.places = slices.DeleteFunc(g.places, func(i int) bool { return g.batch.leaves[i] == nil }) // dead meanwhile
		for _, i := range g.places {
			bytes += int(g.batch.leaves[i].room())
		}
		if len(g.places) > 0 {
			chunk = append(chunk, g)
		}
	}
	if chunk == nil {
		return nil, nil
	}
	return appendRecords(nil, chunk, count), groups
}
