package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	majority   = 3
	LookupTime = 10 * time.Second
	grace      = time.Second // for nodes of 0.7 that say first that they have nothing
)

// A Lookup asks for the five copies of a key.
type Lookup struct {
	places [tables]place
	said   [tables]bool // it has been answered
	values [tables]any  // nil is nothing
	all    bool         // wait for all of them
	until  time.Time
	settle time.Time // when it ends though a copy may come yet; zero if there is no reason to

	over  bool
	value any
	err   error
}

// Result returns what a lookup that is over has found. Errors: ErrNotFound, ErrNoMajority.
func (l *Lookup) Result() (value any, err error) { return l.value, l.err }

// answer takes one copy.
func (l *Lookup) answer(i int, v any) {
	if !l.said[i] || l.values[i] == nil {
		l.said[i], l.values[i] = true, v
	}
}

// advance ends the lookup if it is decided, and tells whether it has.
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
		if nothing == said && (said >= majority || v == wire.V6) { // where nobody says that there is nothing
			l.err = ErrNotFound
		} else if count >= majority {
			l.value, l.err = picked, nil
		}
	}
	return l.over
}

// deadline is when advance wants to be called if nothing comes.
func (l *Lookup) deadline() time.Time {
	if !l.settle.IsZero() && l.settle.Before(l.until) {
		return l.settle
	}
	return l.until
}

// vote is the value that most have, of those that have one, and how many.
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
