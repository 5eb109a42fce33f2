package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	majority   = 3
	LookupTime = 10 * time.Second
	grace      = time.Second // for nodes of 0.7, which first answer that they have nothing
)

// A Lookup asks for the five copies of a key, and ends when most of them agree.
type Lookup struct {
	places [tables]place
	said   [tables]bool // a copy was answered
	values [tables]any  // nil is no copy
	all    bool         // wait for all five
	until  time.Time
	settle time.Time // when the lookup ends without more copies; zero if it need not

	over  bool
	value any
	err   error
}

// Result returns the value that a lookup has found, when it is over. Errors: ErrNotFound, ErrNoMajority.
func (l *Lookup) Result() (value any, err error) { return l.value, l.err }

// answer notes a copy, or nil if there is none.
func (l *Lookup) answer(i int, v any) {
	if !l.said[i] || l.values[i] == nil {
		l.said[i], l.values[i] = true, v
	}
}

// advance ends the lookup if it is decided, and reports whether it is over.
func (l *Lookup) advance(now time.Time, v wire.Version) bool {
	if l.over {
		return true
	}
	said, nothing := 0, 0
	for i := range l.values {
		if l.said[i] {
			said++
			if l.values[i] == nil {
				nothing++
			}
		}
	}
	picked, count := vote(l.values[:])
	switch {
	case count >= majority && (!l.all || said == tables):
		l.over, l.value = true, picked
	case said == tables || nothing > tables-majority && !l.all:
		if l.settle.IsZero() {
			l.settle = now
			if v == wire.V7 {
				l.settle = now.Add(grace)
			}
		}
		if !now.Before(l.settle) {
			l.over, l.value, l.err = true, picked, ErrNotFound
		}
	}
	if !l.over && !now.Before(l.until) {
		l.over, l.err = true, ErrNoMajority
		if nothing == said && (said >= majority || v == wire.V6) { // in 0.6 no node answers that it has nothing
			l.err = ErrNotFound
		} else if count >= majority {
			l.value, l.err = picked, nil
		}
	}
	return l.over
}

// deadline returns when the lookup ends if no more copies come.
func (l *Lookup) deadline() time.Time {
	if !l.settle.IsZero() && l.settle.Before(l.until) {
		return l.settle
	}
	return l.until
}

// vote returns the value that most copies have, and how many have it.
func vote(values []any) (picked any, most int) {
	counts := map[string]int{}
	for _, v := range values {
		if v == nil {
			continue
		}
		b, err := wire.AppendValue(nil, v)
		if err != nil {
			continue
		}
		if counts[string(b)]++; counts[string(b)] > most {
			picked, most = v, counts[string(b)]
		}
	}
	return picked, most
}
