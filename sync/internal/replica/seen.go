package replica

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

// A SeenSet has the dots of all events that a replica knows of, applied or replaced
// long ago: for each writer the numbers as stretches, nearly always one from 1 on.
// Whatever is in it and not in the replica is dead.
type SeenSet map[string][]Interval

// An Interval is numbers from first to last.
type Interval struct{ First, Last uint64 }

// has tells whether a dot is in the set.
func (s SeenSet) has(d Dot) bool {
	for _, st := range s[d.Writer] {
		if d.N <= st.Last {
			return d.N >= st.First
		}
	}
	return false
}

// next is the lowest number of a writer that is not in the set.
func (s SeenSet) next(writer string) uint64 {
	if list := s[writer]; len(list) > 0 && list[0].First == 1 {
		return list[0].Last + 1
	}
	return 1
}

// add puts a dot into the set.
func (s SeenSet) add(d Dot) { s[d.Writer] = join(s[d.Writer], Interval{d.N, d.N}) }

// join puts numbers into a list of stretches, which stay apart and sorted.
func join(list []Interval, add Interval) []Interval {
	if n := len(list); n > 0 && list[n-1].Last+1 == add.First { // nearly always
		list[n-1].Last = add.Last
		return list
	}
	i := 0
	for i < len(list) && list[i].Last+1 < add.First {
		i++
	}
	j := i
	for j < len(list) && list[j].First <= add.Last+1 {
		add.First = min(add.First, list[j].First)
		add.Last = max(add.Last, list[j].Last)
		j++
	}
	return slices.Replace(list, i, j, add)
}

// unite puts all of another set into this one.
func (s SeenSet) unite(o SeenSet) {
	for writer, list := range o {
		for _, st := range list {
			s[writer] = join(s[writer], st)
		}
	}
}

// fits tells whether the set is within the limits that scanSeen has.
func (s SeenSet) fits() bool {
	for _, list := range s {
		if len(list) > maxStretch {
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
		dst = appendStretches(dst, s[writer])
	}
	return dst
}

func appendStretches(dst []byte, list []Interval) []byte {
	dst = dcbor.AppendArray(dst, 2*len(list))
	for _, st := range list {
		dst = dcbor.AppendUint(dcbor.AppendUint(dst, st.First), st.Last)
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
		list := scanStretches(sc)
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

// scanStretches reads stretches as join leaves them; none if they are not.
func scanStretches(sc *dcbor.Scanner) []Interval {
	n := sc.Array(2 * maxStretch)
	if n%2 != 0 {
		return nil
	}
	var list []Interval
	var before uint64
	for range n / 2 {
		st := Interval{sc.Uint(), sc.Uint()}
		if sc.Bad() || st.First > st.Last || st.First == 0 || st.Last == 1<<64-1 || before != 0 && st.First <= before+1 {
			return nil
		}
		list, before = append(list, st), st.Last
	}
	return list
}

// hash is the same for equal sets only.
func (s SeenSet) hash() Digest {
	sum := sha256.Sum256(s.append(nil))
	return Digest(sum[:])
}
