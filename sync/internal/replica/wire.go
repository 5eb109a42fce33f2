package replica

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

// Append appends the encoding of a message without records. The end of a range is encoded as
// the number of bytes that it shares with the end before, and the rest.
func (m *Message) Append(dst []byte) []byte {
	switch {
	case m.Root != nil:
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 4), wireRoot)
		dst = dcbor.AppendBytes(dst, m.Root.Salt)
		return dcbor.AppendBytes(dcbor.AppendBytes(dst, m.Root.Sum[:]), m.Root.Seen[:])
	case m.Equal:
		return dcbor.AppendUint(dcbor.AppendArray(dst, 1), wireEqual)
	case m.Params != nil:
		return m.Params.append(dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireParams))
	case m.Refused != nil:
		return m.Refused.append(dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireRefused))
	case m.Busy:
		return dcbor.AppendUint(dcbor.AppendArray(dst, 1), wireBusy)
	case m.Ask != nil:
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireAsk)
		return dcbor.AppendUint(dcbor.AppendBytes(dst, m.Ask.Writer), m.Ask.N)
	case m.Have:
		return dcbor.AppendUint(dcbor.AppendArray(dst, 1), wireHave)
	}
	dst = dcbor.AppendUint(dcbor.AppendArray(dst, 3), wireRanges)
	if m.Seen == nil {
		dst = dcbor.AppendArray(dst, 0)
	} else {
		dst = m.Seen.append(dcbor.AppendArray(dst, 1))
	}
	dst = dcbor.AppendArray(dst, len(m.Ranges))
	last := ""
	for _, a := range m.Ranges {
		shared := 0
		for shared < min(len(last), len(a.Hi)) && last[shared] == a.Hi[shared] {
			shared++
		}
		dst = dcbor.AppendUint(dcbor.AppendArray(dst, 4), uint64(shared))
		dst = dcbor.AppendUint(dcbor.AppendBytes(dst, a.Hi[shared:]), a.Kind)
		if a.Kind == RangeDead {
			dst = dcbor.AppendArray(dst, len(a.Dead))
			for _, place := range a.Dead {
				dst = dcbor.AppendUint(dst, place)
			}
		} else {
			dst = dcbor.AppendBytes(dst, a.Data)
		}
		last = a.Hi
	}
	return dst
}

// appendRecords appends the encoding of a message of records, with the ages that their leases
// have at a count of this replica.
func appendRecords(dst []byte, groups []Group, count time.Duration) []byte {
	size := 0
	for _, g := range groups {
		size += g.Batch.size(g.Places)
	}
	dst = slices.Grow(dst, size)
	dst = dcbor.AppendUint(dcbor.AppendArray(dst, 2), wireRecords)
	dst = dcbor.AppendArray(dst, len(groups))
	for _, g := range groups {
		dst = g.Batch.Append(dst, g.Places, count)
	}
	return dst
}

// ParseMessage decodes a message, at a count of this replica. It does not check the proofs;
// Batch.Verify does.
func ParseMessage(data []byte, count time.Duration) (m Message, err error) {
	s := dcbor.Scan(data)
	fields := s.Array(4)
	switch kind := s.Uint(); {
	case kind == wireRoot && fields == 4:
		salt, sum, seen := s.Bytes(), s.Bytes(), s.Bytes()
		if len(salt) != SaltLength || len(sum) != len(Digest{}) || len(seen) != len(Digest{}) {
			return m, dcbor.ErrForm
		}
		m.Root = &Root{append([]byte(nil), salt...), Digest(sum), Digest(seen)}
	case kind == wireEqual && fields == 1:
		m.Equal = true
	case kind == wireRecords && fields == 2:
		n := s.Array(maxGroups)
		for range n {
			b, err := scanBatch(&s, count)
			if err != nil {
				return m, err
			}
			m.Proofs = append(m.Proofs, b)
		}
		if len(m.Proofs) == 0 {
			return m, dcbor.ErrForm
		}
	case kind == wireRanges && fields == 3:
		if s.Array(1) == 1 {
			if m.Seen, err = scanSeen(&s); err != nil {
				return m, err
			}
		}
		if m.Ranges, err = scanRanges(&s); err != nil {
			return m, err
		}
	case kind == wireParams && fields == 3:
		m.Params = scanParams(&s)
	case kind == wireRefused && fields == 3:
		m.Refused = scanParams(&s)
	case kind == wireBusy && fields == 1:
		m.Busy = true
	case kind == wireAsk && fields == 3:
		m.Ask = &Dot{string(s.Bytes()), s.Uint()}
		if len(m.Ask.Writer) > MaxName {
			return m, dcbor.ErrForm
		}
	case kind == wireHave && fields == 1:
		m.Have = true
	default:
		return m, dcbor.ErrForm
	}
	return m, s.End()
}

func scanRanges(s *dcbor.Scanner) ([]Range, error) {
	n := s.Array(maxRanges)
	ranges := make([]Range, 0, min(n, 1<<10))
	last := ""
	for range n {
		s.Tuple(4)
		shared, suffix := s.Uint(), s.Bytes()
		a := Range{Kind: s.Uint()}
		if s.Bad() || shared > uint64(len(last)) || int(shared)+len(suffix) > MaxKey {
			return nil, dcbor.ErrForm
		}
		a.Hi = last[:shared] + string(suffix)
		switch a.Kind {
		case RangeSkip, RangeSum, RangeList:
			a.Data = append([]byte(nil), s.Bytes()...)
		case RangeDead:
			k := s.Array(listBytes / shortLength)
			for range k {
				if s.Bad() {
					return nil, dcbor.ErrForm
				}
				a.Dead = append(a.Dead, s.Uint())
			}
		default:
			return nil, dcbor.ErrForm
		}
		if s.Bad() {
			return nil, dcbor.ErrForm
		}
		ranges, last = append(ranges, a), a.Hi
	}
	return ranges, nil
}
