package sync

// CORE: the bytes of the messages of a session.

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
)

const (
	maxRanges = 1 << 16 // in one message
	maxGroups = 1 << 10 // batches in one message
)

// The kinds of messages.
const (
	wireRoot    = 0 // [0, salt, sum, seen]
	wireEqual   = 1 // [1]
	wireRecords = 2 // [2, [batch …]]
	wireRanges  = 3 // [3, [] or [seen], [[shared, suffix, kind, data or places] …]]
	wireParams  = 4 // [4, leasing, lease in ms]
	wireRefused = 5 // [5, leasing, lease in ms]
	wireBusy    = 6 // [6]
	wireAsk     = 7 // [7, writer, n]
	wireHave    = 8 // [8]
)

// append appends a message without records. The end of a range is told by how many bytes
// it shares with the one before.
func (m *message) append(dst []byte) []byte {
	switch {
	case m.root != nil:
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 4), wireRoot)
		dst = dcbor.AppendBytes(dst, m.root.salt)
		return dcbor.AppendBytes(dcbor.AppendBytes(dst, m.root.sum[:]), m.root.seen[:])
	case m.equal:
		return dcbor.AppendUint(dcbor.AppendArray(dst, 1), wireEqual)
	case m.params != nil:
		return m.params.append(dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireParams))
	case m.refused != nil:
		return m.refused.append(dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireRefused))
	case m.busy:
		return dcbor.AppendUint(dcbor.AppendArray(dst, 1), wireBusy)
	case m.ask != nil:
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireAsk)
		return dcbor.AppendUint(dcbor.AppendBytes(dst, m.ask.writer), m.ask.n)
	case m.have:
		return dcbor.AppendUint(dcbor.AppendArray(dst, 1), wireHave)
	}
	dst = dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireRanges)
	if m.seen == nil {
		dst = dcbor.AppendArray(dst, 0)
	} else {
		dst = m.seen.append(dcbor.AppendArray(dst, 1))
	}
	dst = dcbor.AppendArray(dst, len(m.ranges))
	last := ""
	for _, a := range m.ranges {
		shared := 0
		for shared < min(len(last), len(a.hi)) && last[shared] == a.hi[shared] {
			shared++
		}
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 4), uint64(shared))
		dst = dcbor.AppendUint(dcbor.AppendBytes(dst, a.hi[shared:]), a.kind)
		if a.kind == rangeDead {
			dst = dcbor.AppendArray(dst, len(a.dead))
			for _, place := range a.dead {
				dst = dcbor.AppendUint(dst, place)
			}
		} else {
			dst = dcbor.AppendBytes(dst, a.data)
		}
		last = a.hi
	}
	return dst
}

// appendRecords appends a message of records, with the ages that their leases have at a
// moment.
func appendRecords(dst []byte, groups []group, count time.Duration) []byte {
	size := 0
	for _, g := range groups {
		size += g.batch.size(g.places)
	}
	dst = slices.Grow(dst, size)
	dst = dcbor.AppendUint(dcbor.AppendArray(dst, 2), wireRecords)
	dst = dcbor.AppendArray(dst, len(groups))
	for _, g := range groups {
		dst = g.batch.append(dst, g.places, count)
	}
	return dst
}

// scanMessage reads a message; the proofs are not checked yet.
func scanMessage(data []byte, count time.Duration) (m message, err error) {
	s := dcbor.Scan(data)
	fields := s.Array(4)
	switch kind := s.Uint(); {
	case kind == wireRoot && fields == 4:
		salt, sum, seen := s.Bytes(), s.Bytes(), s.Bytes()
		if len(salt) != saltLength || len(sum) != len(digest{}) || len(seen) != len(digest{}) {
			return m, dcbor.ErrForm
		}
		m.root = &root{append([]byte(nil), salt...), digest(sum), digest(seen)}
	case kind == wireEqual && fields == 1:
		m.equal = true
	case kind == wireRecords && fields == 2:
		n := s.Array(maxGroups)
		for range n {
			b, err := scanBatch(&s, count)
			if err != nil {
				return m, err
			}
			m.proofs = append(m.proofs, b)
		}
		if len(m.proofs) == 0 {
			return m, dcbor.ErrForm
		}
	case kind == wireRanges && fields == 3:
		if s.Array(1) == 1 {
			if m.seen, err = scanSeen(&s); err != nil {
				return m, err
			}
		}
		if m.ranges, err = scanRanges(&s); err != nil {
			return m, err
		}
	case kind == wireParams && fields == 3:
		m.params = scanParams(&s)
	case kind == wireRefused && fields == 3:
		m.refused = scanParams(&s)
	case kind == wireBusy && fields == 1:
		m.busy = true
	case kind == wireAsk && fields == 3:
		m.ask = &dot{string(s.Bytes()), s.Uint()}
		if len(m.ask.writer) > maxName {
			return m, dcbor.ErrForm
		}
	case kind == wireHave && fields == 1:
		m.have = true
	default:
		return m, dcbor.ErrForm
	}
	return m, s.End()
}

func scanRanges(s *dcbor.Scanner) ([]answer, error) {
	n := s.Array(maxRanges)
	ranges := make([]answer, 0, min(n, 1<<10))
	last := ""
	for range n {
		s.Tuple(4)
		shared, suffix := s.Uint(), s.Bytes()
		a := answer{kind: s.Uint()}
		if s.Bad() || shared > uint64(len(last)) || int(shared)+len(suffix) > MaxKey {
			return nil, dcbor.ErrForm
		}
		a.hi = last[:shared] + string(suffix)
		switch a.kind {
		case rangeSkip, rangeSum, rangeList:
			a.data = append([]byte(nil), s.Bytes()...)
		case rangeDead:
			k := s.Array(listBytes / shortLength)
			for range k {
				if s.Bad() {
					return nil, dcbor.ErrForm
				}
				a.dead = append(a.dead, s.Uint())
			}
		default:
			return nil, dcbor.ErrForm
		}
		if s.Bad() {
			return nil, dcbor.ErrForm
		}
		ranges, last = append(ranges, a), a.hi
	}
	return ranges, nil
}
