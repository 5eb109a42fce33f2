// Package quorum decides what the answers of a key's replicas amount to: whether a majority
// agrees, and who has to be asked next.
//
// A majority counts complete replicas alone, those that are not backfilling. A counter far
// above those of the others is not believed, so that no single replica can wear a key out.
package quorum

import (
	"slices"

	"github.com/p2p-today/go2p/chord/internal/home"
)

// Majority returns how many of some replicas must agree.
func Majority(replicas int) int { return replicas/2 + 1 }

// An Answer is what has come of a question to one replica.
type Answer int

// The answers.
const (
	Unasked Answer = iota
	Waiting        // for the answer
	Silent         // no answer, or one of no use
	Stores         // the vote's version stands there
	Took           // it has stored the write, or had it
	Above          // it takes nothing below the vote's version
	Full           // it has no room
)

// A Vote is what is known of one replica in a round.
type Vote struct {
	Answer      Answer
	Backfilling bool // the replica is not complete
	Version     home.Version
	Whole       bool // Stores: the value came with the version
}

// heard reports whether a vote names a version.
func (v Vote) heard() bool { return v.Answer > Silent }

// A ReadTally is what the votes of a read amount to.
type ReadTally struct {
	Decided bool
	Got     int    // complete replicas that have answered
	Newest  int    // index of the vote with the newest version; -1 if there is none
	Above   uint64 // the counter of a version that prevents the one that was to be prepared
	Ask     int    // how many more replicas to ask now
}

// Read counts the votes of a read, or of the first phase of a write that depends on it. A
// vote for each replica is among them.
//
// A read is decided by a majority of complete replicas. It asks no more replicas than it
// needs while all answer well, and all of them when one does not.
func Read(votes []Vote) ReadTally {
	t := ReadTally{Newest: -1}
	limit, sure := ceiling(votes)
	waiting, bad := 0, false
	for i, v := range votes {
		switch {
		case v.Answer == Unasked:
		case v.Answer == Waiting:
			waiting++
		case v.Answer == Silent, sure && v.Version.Counter > limit:
			bad = true
		case v.Answer == Stores:
			if v.Backfilling {
				bad = true
			} else {
				t.Got++
			}
			if t.Newest < 0 || newer(v, votes[t.Newest]) {
				t.Newest = i
			}
		default:
			bad = true
			if sure {
				t.Above = max(t.Above, v.Version.Counter)
			}
		}
	}
	need := Majority(len(votes))
	t.Decided = sure && (t.Got >= need || t.Above > 0)
	if t.Ask = need - t.Got - waiting; bad || t.Got >= need {
		t.Ask = len(votes)
	}
	return t
}

// newer reports whether a vote names a newer version than another, or the same one with its
// value.
func newer(v, than Vote) bool {
	order := v.Version.Compare(than.Version)
	return order > 0 || order == 0 && v.Whole
}

// A WriteTally is what the votes of a write amount to.
type WriteTally struct {
	Decided bool   // a majority has it
	Got     int    // complete replicas that have it
	Above   uint64 // the counter of a version that prevents it, or 0
	Full    bool   // so many have no room that no majority will have it
}

// Write counts the votes of a write. A vote for each replica is among them.
func Write(votes []Vote) (t WriteTally) {
	limit, sure := ceiling(votes)
	full := 0
	for _, v := range votes {
		switch v.Answer {
		case Took:
			if !v.Backfilling {
				t.Got++
			}
		case Above:
			if sure && v.Version.Counter <= limit {
				t.Above = max(t.Above, v.Version.Counter)
			}
		case Full:
			full++
		}
	}
	need := Majority(len(votes))
	t.Decided = sure && t.Got >= need
	t.Full = full > len(votes)-need
	return t
}

// Everywhere reports whether each replica has decided about a write.
func Everywhere(votes []Vote) bool {
	return !slices.ContainsFunc(votes, func(v Vote) bool { return !v.heard() })
}

// A RepairTally says how far a version has come.
type RepairTally struct {
	Have int   // complete replicas that have it, or a newer one
	Lack []int // indices of those that have an older one
}

// Repair tells which of those that have answered a read lack a version.
func Repair(votes []Vote, v home.Version) (t RepairTally) {
	for i, o := range votes {
		switch {
		case o.Answer != Stores:
		case o.Version.Compare(v) < 0:
			t.Lack = append(t.Lack, i)
		case !o.Backfilling:
			t.Have++
		}
	}
	return t
}

// ceiling returns the highest counter to believe. It is not sure while less than a majority
// has answered, nor while counters are so far apart that a replica lies, and more may answer.
func ceiling(votes []Vote) (limit uint64, sure bool) {
	var room [8]uint64
	counters, answered := room[:0], 0
	for _, v := range votes {
		if v.Answer >= Silent {
			answered++
		}
		if v.heard() {
			counters = append(counters, v.Version.Counter)
		}
	}
	if len(counters) < Majority(len(votes)) {
		return 0, false
	}
	slices.Sort(counters)
	near := counters[len(counters)-1]-counters[0] <= home.MaxJump
	return counters[(len(counters)-1)/2] + home.MaxJump, near || answered == len(votes)
}
