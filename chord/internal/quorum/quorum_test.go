package quorum

import (
	"slices"
	"testing"

	"github.com/p2p-today/go2p/chord/internal/home"
)

var (
	unasked = Vote{}
	waiting = Vote{Answer: Waiting}
	silent  = Vote{Answer: Silent}
	full    = Vote{Answer: Full}
	nothing = Vote{Answer: Stores}
)

func version(counter uint64) home.Version { return home.Version{Counter: counter, Writer: "w"} }

func stores(counter uint64) Vote { return Vote{Answer: Stores, Version: version(counter)} }
func took(counter uint64) Vote   { return Vote{Answer: Took, Version: version(counter)} }
func above(counter uint64) Vote  { return Vote{Answer: Above, Version: version(counter)} }

func whole(v Vote) Vote {
	v.Whole = true
	return v
}

func backfilling(v Vote) Vote {
	v.Backfilling = true
	return v
}

const lie = home.MaxCounter

func TestRead_CountsMajority(t *testing.T) {
	for name, c := range map[string]struct {
		votes []Vote
		want  ReadTally
	}{
		"nobody was asked": {[]Vote{unasked, unasked, unasked, unasked, unasked}, ReadTally{Newest: -1, Ask: 3}},
		"three are asked":  {[]Vote{waiting, waiting, waiting, unasked, unasked}, ReadTally{Newest: -1}},
		"two of three have answered": {
			[]Vote{stores(1), stores(1), waiting, unasked, unasked}, ReadTally{Got: 2},
		},
		"three agree": {
			[]Vote{whole(stores(1)), stores(1), stores(1), unasked, unasked}, ReadTally{Decided: true, Got: 3, Ask: 5},
		},
		"the newest counts": {
			[]Vote{whole(stores(1)), stores(1), stores(2), unasked, unasked}, ReadTally{Decided: true, Got: 3, Newest: 2, Ask: 5},
		},
		"the one with the value is preferred": {
			[]Vote{stores(2), whole(stores(2)), stores(2), unasked, unasked}, ReadTally{Decided: true, Got: 3, Newest: 1, Ask: 5},
		},
		"three have nothing": {
			[]Vote{nothing, nothing, nothing, unasked, unasked}, ReadTally{Decided: true, Got: 3, Ask: 5},
		},
		"a silent one has all asked": {
			[]Vote{stores(1), stores(1), silent, unasked, unasked}, ReadTally{Got: 2, Ask: 5},
		},
		"one that is backfilling does not count, and its version does": {
			[]Vote{stores(1), stores(1), backfilling(stores(2)), unasked, unasked}, ReadTally{Got: 2, Newest: 2, Ask: 5},
		},
		"an absurd counter is not believed": {
			[]Vote{stores(1), stores(1), stores(1), stores(1), stores(lie)}, ReadTally{Decided: true, Got: 4, Ask: 5},
		},
		"counters far apart wait for the others": {
			[]Vote{stores(1), stores(1), stores(1), stores(lie), waiting}, ReadTally{Got: 4, Newest: 3, Ask: 5},
		},
		"a higher promise is above": {
			[]Vote{stores(1), stores(1), above(7), waiting, waiting}, ReadTally{Decided: true, Got: 2, Above: 7, Ask: 5},
		},
		"a higher promise alone is not": {
			[]Vote{above(7), waiting, waiting, unasked, unasked}, ReadTally{Newest: -1, Ask: 5},
		},
		"one is all there are": {[]Vote{stores(3)}, ReadTally{Decided: true, Got: 1, Ask: 1}},
		"both of two must":     {[]Vote{stores(3), silent}, ReadTally{Got: 1, Ask: 2}},
	} {
		if got := Read(c.votes); got != c.want {
			t.Errorf("%s: %+v; want %+v", name, got, c.want)
		}
	}
}

func TestWrite_CountsMajority(t *testing.T) {
	for name, c := range map[string]struct {
		votes []Vote
		want  WriteTally
	}{
		"three of five have it":         {[]Vote{took(4), took(4), took(4), waiting, waiting}, WriteTally{Decided: true, Got: 3}},
		"two of five do not do":         {[]Vote{took(4), took(4), silent, silent, silent}, WriteTally{Got: 2}},
		"backfilling ones do not count": {[]Vote{took(4), took(4), backfilling(took(4)), waiting, waiting}, WriteTally{Got: 2}},
		"a higher version is above":     {[]Vote{took(4), took(4), above(9), waiting, waiting}, WriteTally{Got: 2, Above: 9}},
		"the highest is":                {[]Vote{took(4), above(8), above(9), waiting, waiting}, WriteTally{Got: 1, Above: 9}},
		"an absurd counter is not":      {[]Vote{took(4), took(4), took(4), took(4), above(lie)}, WriteTally{Decided: true, Got: 4}},
		"counters far apart wait":       {[]Vote{took(4), took(4), took(4), above(lie), waiting}, WriteTally{Got: 3}},
		"three of five have no room":    {[]Vote{full, full, full, waiting, waiting}, WriteTally{Full: true}},
		"two of five have no room":      {[]Vote{full, full, took(4), took(4), took(4)}, WriteTally{Decided: true, Got: 3}},
	} {
		if got := Write(c.votes); got != c.want {
			t.Errorf("%s: %+v; want %+v", name, got, c.want)
		}
	}
}

// Whatever up to two of five replicas answer, the others alone decide how high a counter may
// get.
func TestCeiling_TwoLiarsRaiseNothing(t *testing.T) {
	for _, liars := range [][]Vote{{above(lie), above(lie)}, {above(lie), silent}, {stores(lie), above(lie - 1)}} {
		votes := append([]Vote{stores(1), stores(2), stores(2)}, liars...)
		if limit, sure := ceiling(votes); !sure || limit > 2+home.MaxJump {
			t.Errorf("%+v: %d, %v", liars, limit, sure)
		}
	}
}

func TestEverywhere_NeedsAnAnswerOfEach(t *testing.T) {
	for want, votes := range map[bool][]Vote{true: {took(1), above(2), full}, false: {took(1), took(1), silent}} {
		if Everywhere(votes) != want {
			t.Errorf("%+v: %v", votes, !want)
		}
	}
}

func TestRepair_FindsWhoLacks(t *testing.T) {
	got := Repair([]Vote{stores(3), nothing, stores(2), backfilling(stores(3)), silent}, version(3))
	if got.Have != 1 || !slices.Equal(got.Lack, []int{1, 2}) {
		t.Errorf("%+v", got)
	}
}
