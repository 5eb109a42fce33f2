package sync

// CORE: which events a replica has seen.

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/p2p-today/go2p/internal/dcbor"
)

const (
	maxWriters = 1 << 16 // writers in one seen set
	maxStretch = 1 << 10 // stretches of one writer
)

// A seenSet has the dots of all events that a replica knows of, applied or replaced
// long ago: for each writer the numbers as stretches, nearly always one from 1 on.
// Whatever is in it and not in the replica is dead.
type seenSet map[string][]stretch

// A stretch is numbers from first to last.
type stretch struct{ first, last uint64 }

// has tells whether a dot is in the set.
func (s seenSet) has(d dot) bool {
	for _, st := range s[d.writer] {
		if d.n <= st.last {
			return d.n >= st.first
		}
	}
	return false
}

// next is the lowest number of a writer that is not in the set.
func (s seenSet) next(writer string) uint64 {
	if list := s[writer]; len(list) > 0 && list[0].first == 1 {
		return list[0].last + 1
	}
	return 1
}

// add puts a dot into the set.
func (s seenSet) add(d dot) { s[d.writer] = join(s[d.writer], stretch{d.n, d.n}) }

// join puts numbers into a list of stretches, which stay apart and sorted.
func join(list []stretch, add stretch) []stretch {
	if n := len(list); n > 0 && list[n-1].last+1 == add.first { // nearly always
		list[n-1].last = add.last
		return list
	}
	i := 0
	for i < len(list) && list[i].last+1 < add.first {
		i++
	}
	j := i
	for j < len(list) && list[j].first <= add.last+1 {
		add.first = min(add.first, list[j].first)
		add.last = max(add.last, list[j].last)
		j++
	}
	return slices.Replace(list, i, j, add)
}

// unite puts all of another set into this one.
func (s seenSet) unite(o seenSet) {
	for writer, list := range o {
		for _, st := range list {
			s[writer] = join(s[writer], st)
		}
	}
}

// fits tells whether the set is within the limits that scanSeen has.
func (s seenSet) fits() bool {
	for _, list := range s {
		if len(list) > maxStretch {
			return false
		}
	}
	return len(s) <= maxWriters
}

func (s seenSet) clone() seenSet {
	c := make(seenSet, len(s))
	for writer, list := range s {
		c[writer] = slices.Clone(list)
	}
	return c
}

// append appends the set, sorted by writer: [[writer, [first, last, first, last …]] …].
func (s seenSet) append(dst []byte) []byte {
	dst = dcbor.AppendArray(dst, len(s))
	for _, writer := range slices.Sorted(maps.Keys(s)) {
		dst = dcbor.AppendBytes(dcbor.AppendArray(dst, 2), writer)
		dst = appendStretches(dst, s[writer])
	}
	return dst
}

func appendStretches(dst []byte, list []stretch) []byte {
	dst = dcbor.AppendArray(dst, 2*len(list))
	for _, st := range list {
		dst = dcbor.AppendUint(dcbor.AppendUint(dst, st.first), st.last)
	}
	return dst
}

// scanSeen reads a set.
func scanSeen(sc *dcbor.Scanner) (seenSet, error) {
	n := sc.Array(maxWriters)
	s := seenSet{}
	last := ""
	for range n {
		sc.Tuple(2)
		writer := string(sc.Bytes())
		list := scanStretches(sc)
		if sc.Bad() || len(list) == 0 || writer <= last || len(writer) > maxName {
			return nil, dcbor.ErrForm
		}
		s[writer], last = list, writer
	}
	if sc.Bad() {
		return nil, dcbor.ErrForm
	}
	return s, nil
}

// scanStretches reads stretches as join leaves them; none if they are not.
func scanStretches(sc *dcbor.Scanner) []stretch {
	n := sc.Array(2 * maxStretch)
	if n%2 != 0 {
		return nil
	}
	var list []stretch
	var before uint64
	for range n / 2 {
		st := stretch{sc.Uint(), sc.Uint()}
		if sc.Bad() || st.first > st.last || st.first == 0 || st.last == 1<<64-1 || before != 0 && st.first <= before+1 {
			return nil
		}
		list, before = append(list, st), st.last
	}
	return list
}

// hash is the same for equal sets only.
func (s seenSet) hash() digest {
	sum := sha256.Sum256(s.append(nil))
	return digest(sum[:])
}
