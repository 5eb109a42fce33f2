package replica

import (
	"crypto/sha256"
	"maps"
	"math"
	"slices"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/intervalset"
)

const (
	maxWriters   = 1 << 16 // writers in one seen set
	maxIntervals = 1 << 10 // intervals of one writer
)

// A SeenSet has the dots of all events that a replica knows of, applied or replaced long
// ago: the numbers of each writer, nearly always one interval from 1 on. A dot that is in
// the set but not in the replica is dead. It is a dotted version vector.
type SeenSet map[string]intervalset.Set

// has reports whether a dot is in the set.
func (s SeenSet) has(d Dot) bool { return s[d.Writer].Contains(d.N) }

// next returns the lowest number of a writer that is not in the set.
func (s SeenSet) next(writer string) uint64 { return s[writer].Prefix() + 1 }

// add adds a dot.
func (s SeenSet) add(d Dot) {
	set := s[d.Writer]
	set.Add(d.N, d.N)
	s[d.Writer] = set
}

// unite adds all dots of another set.
func (s SeenSet) unite(o SeenSet) {
	for writer, more := range o {
		set := s[writer]
		set.Union(more)
		s[writer] = set
	}
}

// fits reports whether the set is within the limits that scanSeen has.
func (s SeenSet) fits() bool {
	for _, list := range s {
		if len(list) > maxIntervals {
			return false
		}
	}
	return len(s) <= maxWriters
}

func (s SeenSet) clone() SeenSet {
	c := make(SeenSet, len(s))
	for writer, list := range s {
		c[writer] = slices.Clone(list)
	}
	return c
}

// append appends the set, sorted by writer: [[writer, [first, last, first, last …]] …].
func (s SeenSet) append(dst []byte) []byte {
	dst = dcbor.AppendArray(dst, len(s))
	for _, writer := range slices.Sorted(maps.Keys(s)) {
		dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 2), writer)
		dst = appendIntervals(dst, s[writer])
	}
	return dst
}

func appendIntervals(dst []byte, set intervalset.Set) []byte {
	dst = dcbor.AppendArray(dst, 2*len(set))
	for _, v := range set {
		dst = dcbor.AppendUint(dcbor.AppendUint(dst, v.First), v.Last)
	}
	return dst
}

// scanSeen reads a set.
func scanSeen(sc *dcbor.Scanner) (SeenSet, error) {
	n := sc.Array(maxWriters)
	s := SeenSet{}
	last := ""
	for range n {
		sc.Tuple(2)
		writer := string(sc.Bytes())
		list := scanIntervals(sc)
		if sc.Bad() || len(list) == 0 || writer <= last || len(writer) > MaxName {
			return nil, dcbor.ErrForm
		}
		s[writer], last = list, writer
	}
	if sc.Bad() {
		return nil, dcbor.ErrForm
	}
	return s, nil
}

// scanIntervals reads the numbers of one writer; none if they are not in the form of a Set,
// or if 0 or the highest number is among them.
func scanIntervals(sc *dcbor.Scanner) intervalset.Set {
	n := sc.Array(2 * maxIntervals)
	if n%2 != 0 {
		return nil
	}
	var set intervalset.Set
	for range n / 2 {
		set = append(set, intervalset.Interval{First: sc.Uint(), Last: sc.Uint()})
	}
	if sc.Bad() || !set.Valid() || set.Contains(0) || set.Contains(math.MaxUint64) {
		return nil
	}
	return set
}

// hash is the same for equal sets only.
func (s SeenSet) hash() Digest {
	sum := sha256.Sum256(s.append(nil))
	return Digest(sum[:])
}
