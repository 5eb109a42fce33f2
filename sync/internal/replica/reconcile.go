package replica

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
	SaltLength  = 8
)

// ErrReconcile says that the other replica does not keep to the protocol.
var ErrReconcile = errors.New("the other replica does not keep to the rules of reconciliation")

// errIdentityClash says that another copy of this peer has written.
var errIdentityClash = errors.New("the other replica knows more of what this peer has written than it does itself")

// A Reconciliation compares this replica with another one. It is range-based set
// reconciliation (Meyer, "Range-Based Set Reconciliation", 2023) with seen sets, which tell
// a record that is missing from one that is dead. A asks B; the messages are:
//
//	A → B  root: a fingerprint of everything. If B has the same, it says so: the end.
//	B → A  what B has seen, and fingerprints of ranges
//	A → B  what A has seen, and, of the ranges that differ, finer ones, or the list of
//	       its records if they are few, with those that B has not seen
//	B → A  likewise; to a list it answers with the records that A has not seen, and which
//	       of the listed records are dead
//	…      until neither asks
//
// Then each side adds the seen set that the other one sent. Both replicas may change
// meanwhile: a record that one has seen and does not hold is dead at any later time, too.
type Reconciliation struct {
	r      *Replica
	salt   []byte
	theirs SeenSet // seen set of the other replica; nil until it came
	shared bool    // the seen set of this replica was sent
	rounds int
	lists  [][]*Entry // that wait for their answers, in order
	queue  []*Entry   // to be sent before the next message
	done   bool
}

// The kinds of ranges.
const (
	RangeSkip = 0 // nothing
	RangeSum  = 1 // its fingerprint: a question
	RangeList = 2 // all of its records, as short hashes: a question
	RangeDead = 3 // the places of the dead in the list of the other replica: an answer
)

// A Range is what a message says of a range of keys, which begins where the last one ended.
type Range struct {
	Hi   string // its end; "" for that of everything
	Kind uint64
	Data []byte   // of a sum, or a list: short hashes, one after the other
	Dead []uint64 // places in the list, ascending
}

func (a *Range) asks() bool { return a.Kind == RangeSum || a.Kind == RangeList }

// A Message of a reconciliation is a root, equal, records with their proofs, or ranges. The
// other messages are for the shell.
type Message struct {
	Root   *Root
	Equal  bool
	Proofs []*Batch
	Seen   SeenSet // with the first ranges
	Ranges []Range

	Params  *Params // the first message: the parameters of the replica that asks
	Refused *Params // the answer to other parameters: the own ones
	Busy    bool    // the answer of a replica that catches up with a third one
	Ask     *Dot    // the only message: asks for an answer when this event, and all before it, was seen
	Have    bool    // the answer to Ask
}

type Root struct {
	Salt      []byte
	Sum, Seen Digest
}

// RecordBytes returns roughly how many bytes of records are in a message.
func (m *Message) RecordBytes() (n int) {
	for _, b := range m.Proofs {
		for _, e := range b.leaves {
			if e != nil {
				n += e.Size()
			}
		}
	}
	return n
}

// NewReconciliation returns a reconciliation that has not begun.
func NewReconciliation(r *Replica) *Reconciliation { return &Reconciliation{r: r} }

// Start begins the reconciliation at the side that asks, and returns the first message.
func (s *Reconciliation) Start(salt []byte) Message {
	s.salt = salt
	return Message{Root: s.root(salt)}
}

func (s *Reconciliation) root(salt []byte) *Root {
	return &Root{salt, s.r.tree.summarise(span{}).fingerprint(salt), s.r.seen.hash()}
}

// Equals reports whether a root is that of this replica.
func (s *Reconciliation) Equals(m Message) bool {
	mine := s.root(m.Root.Salt)
	return mine.Sum == m.Root.Sum && mine.Seen == m.Root.Seen
}

// A Step is what follows from a message of a reconciliation.
type Step struct {
	Effects
	Records []Group  // to be sent before the reply, with AppendChunk
	Reply   *Message // nil if none is due
	Done    bool     // the two replicas are in sync
	News    bool     // a change is not on its way to others by itself
}

// inFlight is the age up to which a record is on its way to others by itself.
const inFlight = 2 * time.Second

// Receive applies a message whose proofs were verified. Errors: ErrReconcile, ErrFull, or
// another copy of this peer has written.
func (s *Reconciliation) Receive(now Instant, m Message) (next Step, err error) {
	next.Reply, err = s.answer(now, m, &next.Effects)
	next.Records, next.Done = s.regroup(), s.done
	next.News = slices.ContainsFunc(next.Changes, func(c Change) bool {
		return c.New == nil || now.Count-c.New.renewed > inFlight
	})
	return next, err
}

func (s *Reconciliation) answer(now Instant, m Message, out *Effects) (reply *Message, err error) {
	switch {
	case s.done:
		return nil, ErrReconcile
	case m.Root != nil:
		if s.salt != nil || len(m.Root.Salt) != SaltLength {
			return nil, ErrReconcile
		}
		s.salt = m.Root.Salt
		if s.Equals(m) {
			s.done = true
			return &Message{Equal: true}, nil
		}
		reply = &Message{}
		s.split(reply, span{}, firstSplit)
		s.shareSeen(reply)
		return reply, nil
	case m.Equal:
		s.done = true
		return nil, nil
	case m.Proofs != nil:
		for _, b := range m.Proofs {
			out.Changes = slices.Grow(out.Changes, b.alive)
			for _, e := range b.leaves {
				if e != nil {
					s.r.accept(now, e, out)
				}
			}
		}
		if out.Full {
			err = ErrFull // and what is not here is not dead
		}
		return nil, err
	}
	if s.rounds++; s.rounds > maxRounds {
		return nil, ErrReconcile
	}
	if m.Seen != nil {
		s.theirs = m.Seen
		if s.r.outdated(m.Seen) {
			out.IdentityClash = true
			return nil, errIdentityClash
		}
	}
	if s.theirs == nil || s.salt == nil {
		return nil, ErrReconcile
	}
	reply, err = s.compare(now, m.Ranges, out)
	if err != nil {
		return nil, err
	}
	asking := slices.ContainsFunc(reply.Ranges, func(a Range) bool { return a.asks() })
	if asked := slices.ContainsFunc(m.Ranges, func(a Range) bool { return a.asks() }); asked {
		s.shareSeen(reply)
	} else {
		reply = nil
	}
	if !asking {
		s.done = true
		s.r.unite(now, s.theirs, out)
	}
	return reply, nil
}

// shareSeen adds the seen set of this replica to its first ranges.
func (s *Reconciliation) shareSeen(reply *Message) {
	if !s.shared {
		s.shared, reply.Seen = true, s.r.seen.clone()
	}
}

// compare answers ranges.
func (s *Reconciliation) compare(now Instant, ranges []Range, out *Effects) (*Message, error) {
	reply := &Message{}
	lists := s.lists
	s.lists = nil
	lo, bytes := "", 0
	for i, a := range ranges {
		in := span{lo, a.Hi}
		if lo != "" && a.Hi != "" && a.Hi <= lo || a.Hi == "" && i+1 < len(ranges) {
			return nil, ErrReconcile
		}
		lo = a.Hi
		switch a.Kind {
		case RangeSkip:
			reply.skip(a.Hi)
		case RangeSum:
			sum := s.sum(in)
			switch n := s.r.tree.summarise(in).count; {
			case string(sum) == string(a.Data):
				reply.skip(a.Hi)
			case bytes > listBytes:
				reply.Ranges = append(reply.Ranges, Range{Hi: a.Hi, Kind: RangeSum, Data: sum})
			case n <= maxListed:
				bytes += s.list(reply, in)
			default:
				s.split(reply, in, laterSplit)
			}
		case RangeList:
			s.answerList(now, reply, in, a, out)
		case RangeDead:
			if len(lists) == 0 {
				return nil, ErrReconcile
			}
			for _, place := range a.Dead {
				if place < uint64(len(lists[0])) {
					e := lists[0][place]
					s.r.prune(now, e.Key, e.Dot, s.theirs, out)
				}
			}
			lists = lists[1:]
			reply.skip(a.Hi)
		}
	}
	if len(lists) > 0 {
		return nil, ErrReconcile
	}
	return reply, nil
}

// skip says nothing of a range.
func (m *Message) skip(hi string) {
	if n := len(m.Ranges); n > 0 && m.Ranges[n-1].Kind == RangeSkip {
		m.Ranges[n-1].Hi = hi
		return
	}
	m.Ranges = append(m.Ranges, Range{Hi: hi})
}

func (s *Reconciliation) sum(in span) []byte {
	sum := s.r.tree.summarise(in).fingerprint(s.salt)
	return sum[:sumLength]
}

// split adds the fingerprints of parts of a range, which have about as many records each.
func (s *Reconciliation) split(reply *Message, in span, parts int) {
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
			hi = between(t.at(at-1).Key, t.at(at).Key)
		}
		reply.Ranges = append(reply.Ranges, Range{Hi: hi, Kind: RangeSum, Data: s.sum(span{lo, hi})})
		lo = hi
	}
}

// between returns the shortest string above a and not above b, which is greater than a.
func between(a, b string) string {
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return b[:i+1]
}

// short returns the short hash of a record in the lists of this reconciliation.
func (s *Reconciliation) short(e *Entry) (h [shortLength]byte) {
	sum := sha256.Sum256(append(append(make([]byte, 0, 32), s.salt...), e.hash[:]...))
	copy(h[:], sum[:])
	return h
}

// list adds the list of the records in a range, and queues those that the other replica has
// not seen. Ranges without records that follow one another become one.
func (s *Reconciliation) list(reply *Message, in span) (bytes int) {
	var listed []*Entry
	a := Range{Hi: in.hi, Kind: RangeList}
	for e := range s.r.tree.all(in) {
		h := s.short(e)
		a.Data = append(a.Data, h[:]...)
		listed = append(listed, e)
		if !s.theirs.has(e.Dot) {
			s.queue = append(s.queue, e)
		}
	}
	if n := len(reply.Ranges); n > 0 && len(listed) == 0 {
		if last := &reply.Ranges[n-1]; last.Kind == RangeList && len(last.Data) == 0 {
			last.Hi = in.hi
			return 0
		}
	}
	s.lists = append(s.lists, listed)
	reply.Ranges = append(reply.Ranges, a)
	return len(a.Data) + len(in.hi)
}

// answerList queues the records that are not in a list and that the other replica has not
// seen, and prunes those that it has seen. It answers which of the listed are dead: all that
// are not here, because the listed records that this replica has not seen came with the list.
func (s *Reconciliation) answerList(now Instant, reply *Message, in span, a Range, out *Effects) {
	places := map[[shortLength]byte]int{}
	for i := 0; i+shortLength <= len(a.Data); i += shortLength {
		places[[shortLength]byte(a.Data[i:])] = i / shortLength
	}
	var dead []*Entry
	for e := range s.r.tree.all(in) {
		listed := false
		if len(places) > 0 {
			h := s.short(e)
			_, listed = places[h]
			delete(places, h)
		}
		switch {
		case listed:
		case s.theirs.has(e.Dot):
			dead = append(dead, e)
		default:
			s.queue = append(s.queue, e)
		}
	}
	for _, e := range dead {
		s.r.prune(now, e.Key, e.Dot, s.theirs, out)
	}
	gone := make([]uint64, 0, len(places))
	for _, place := range places {
		gone = append(gone, uint64(place))
	}
	slices.Sort(gone)
	reply.Ranges = append(reply.Ranges, Range{Hi: in.hi, Kind: RangeDead, Dead: gone})
}

// A Group is some of the records of a batch, by their places.
type Group struct {
	Batch  *Batch
	Places []int
}

// regroup returns the queued records in groups: records of one batch share most of their
// proof.
func (s *Reconciliation) regroup() (groups []Group) {
	if len(s.queue) == 0 {
		return nil
	}
	type chosen [maxBatch]bool
	of := map[*Batch]*chosen{}
	for _, e := range s.queue {
		c := of[e.batch]
		if c == nil {
			c = &chosen{}
			of[e.batch] = c
			groups = append(groups, Group{Batch: e.batch})
		}
		c[e.leaf] = true
	}
	for i := range groups {
		g := &groups[i]
		for place := range g.Batch.leaves {
			if of[g.Batch][place] {
				g.Places = append(g.Places, place)
			}
		}
	}
	s.queue = nil
	return groups
}

// AppendChunk returns a message with the first of some records, and the records that are
// left. The message is nil if none of them lives any more.
func AppendChunk(groups []Group, count time.Duration) (body []byte, rest []Group) {
	var chunk []Group
	for bytes := 0; len(groups) > 0 && bytes < chunkBytes; groups = groups[1:] {
		g := groups[0]
		g.Places = slices.DeleteFunc(g.Places, func(i int) bool { return g.Batch.leaves[i] == nil }) // dead meanwhile
		for _, i := range g.Places {
			bytes += int(g.Batch.leaves[i].room())
		}
		if len(g.Places) > 0 {
			chunk = append(chunk, g)
		}
	}
	if chunk == nil {
		return nil, nil
	}
	return appendRecords(nil, chunk, count), groups
}
