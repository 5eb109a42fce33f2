package policy

import (
	"testing"
	"time"
)

var (
	now = time.Unix(1_000_000, 0)

	ghost     = Claim{Held: true, Owner: "ghost", Ghost: true, Time: 999_990} // of a native peer
	ghostThen = Claim{Held: true, Owner: "ghost", Ghost: true, Time: 999_980}
	oldNode   = Claim{Held: true, Owner: "old", Text: true, Time: 999_980}
	oldLong   = Claim{Held: true, Owner: "old", Text: true, Time: 900_000}
	ofOldNode = Claim{Held: true, Owner: "old", Time: 5} // native record of an old node's key
)

func TestNativeChanged_OldSideFollows(t *testing.T) {
	for name, c := range map[string]struct {
		sides Sides
		want  Verdict
	}{
		"a new key is copied out": {
			Sides{Native: ghost, Exists: true, Accepted: true},
			Verdict{Do: CopyOut, Owner: "ghost", Time: 999_990}},
		"an old value is written as if from just now": {
			Sides{Native: Claim{Held: true, Owner: "ghost", Ghost: true, Time: 900_000}, Exists: true, Accepted: true},
			Verdict{Do: CopyOut, Owner: "ghost", Time: 999_995}},
		"a change is copied out": {
			Sides{Native: ghost, Old: ghostThen, Exists: true, Accepted: true},
			Verdict{Do: CopyOut, Owner: "ghost", Time: 999_990}},
		"a renewed lease is copied out": {
			Sides{Native: ghost, Old: ghostThen, Exists: true, Equal: true, Accepted: true},
			Verdict{Do: CopyOut, Owner: "ghost", Time: 999_990}},
		"the same on both sides needs nothing": {
			Sides{Native: ghost, Old: ghost, Exists: true, Equal: true, Accepted: true},
			Verdict{}},
		"what an old node has leased is restored under its ID": {
			Sides{Native: ghost, Old: oldNode, Exists: true},
			Verdict{Do: CopyOut, Owner: "old", Text: true, Time: 999_980}},
		"what it has leased long ago, as if from just now": {
			Sides{Native: ghost, Old: oldLong, Exists: true},
			Verdict{Do: CopyOut, Owner: "old", Text: true, Time: 999_995}},
		"what it has leased needs nothing if it is equal": {
			Sides{Native: ghost, Old: oldNode, Exists: true, Equal: true},
			Verdict{}},
		"a value that does not exist there deletes what is out of date": {
			Sides{Native: ghost, Old: ghost, Accepted: true},
			Verdict{Do: DeleteOut, Owner: "ghost", Time: 1_000_000}},
		"a value that does not exist there leaves an old node's value": {
			Sides{Native: ghost, Old: oldNode},
			Verdict{Do: Withhold}},
		"a delete is copied out": {
			Sides{Old: ghost, Accepted: true},
			Verdict{Do: DeleteOut, Owner: "ghost", Time: 1_000_000}},
		"a delete of what is gone needs nothing": {
			Sides{Accepted: true},
			Verdict{}},
		"what came from there does not go back": {
			Sides{Native: ofOldNode, Old: oldNode, Exists: true, Accepted: true},
			Verdict{}},
		"what came from there goes back if it was lost there": {
			Sides{Native: ofOldNode, Exists: true, Accepted: true},
			Verdict{Do: CopyOut, Owner: "old", Time: 999_995}},
	} {
		if got := NativeChanged(now, c.sides); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}

func TestNativeRefused_NativeValueStands(t *testing.T) {
	taken := Claim{Held: true, Owner: "another ghost", Ghost: true, Time: 999_985}
	for name, c := range map[string]struct {
		did   Action
		sides Sides
		want  Verdict
	}{
		"an old write is overwritten under its own ID": {
			CopyIn, Sides{Native: taken, Old: oldNode, Exists: true},
			Verdict{Do: CopyOut, Owner: "old", Text: true, Time: 999_980}},
		"an old write of the same value stays": {
			CopyIn, Sides{Native: taken, Old: oldNode, Exists: true, Equal: true},
			Verdict{}},
		"an old write stays if the native value does not exist there": {
			CopyIn, Sides{Native: taken, Old: oldNode},
			Verdict{Do: Withhold}},
		"an old write that is gone since is replaced": {
			CopyIn, Sides{Native: taken, Exists: true, Accepted: true},
			Verdict{Do: CopyOut, Owner: "another ghost", Time: 999_985}},
		"an old delete is undone": {
			DeleteIn, Sides{Native: taken, Exists: true, Accepted: true},
			Verdict{Do: CopyOut, Owner: "another ghost", Time: 999_985}},
		"an old delete of what is gone natively needs nothing": {
			DeleteIn, Sides{},
			Verdict{}},
		"a delete behind which there is a new write is undone under its ID": {
			DeleteIn, Sides{Native: taken, Old: oldNode, Exists: true},
			Verdict{Do: CopyOut, Owner: "old", Text: true, Time: 999_980}},
	} {
		if got := NativeRefused(now, c.did, c.sides); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}

func TestWriteLost_LosingWriterGetsWhatStands(t *testing.T) {
	write := Claim{Held: true, Owner: "loser", Text: true, Time: 999_985}
	delta := Claim{Owner: "loser", Text: true, Time: 999_985}
	restored := Verdict{Do: CopyOut, Owner: "loser", Text: true, Time: 999_985}
	both := Sides{Native: ghost, Old: ghost, Exists: true, Equal: true, Accepted: true}
	for name, c := range map[string]struct {
		write     Claim
		own, same bool
		sides     Sides
		want      Verdict
		lost      bool
	}{
		"against a native key": {
			write: write, sides: both, want: restored, lost: true},
		"of the same value": {
			write: write, same: true, sides: both, lost: true},
		"a delta": {
			write: delta, sides: both, want: restored, lost: true},
		"long ago": {
			write: Claim{Held: true, Owner: "loser", Text: true, Time: 900_000}, sides: both,
			want: Verdict{Do: CopyOut, Owner: "loser", Text: true, Time: 999_995}, lost: true},
		"against another old node": {
			write: write, sides: Sides{Native: oldNode, Old: oldNode, Exists: true, Equal: true, Accepted: true}, want: restored, lost: true},
		"where there is nothing natively": {
			write: write, sides: Sides{Old: oldNode, Accepted: true}},
		"against a value that does not exist there": {
			write: write, sides: Sides{Native: ghost, Accepted: true}},
		"against itself": {
			write: write, own: true, sides: both,
			want: Verdict{Do: CopyIn, Owner: "loser", Text: true, Time: 999_985}},
		"a delta against itself": {
			write: delta, own: true, sides: both, want: restored, lost: true},
	} {
		if got, lost := WriteLost(now, c.write, c.own, c.same, c.sides); got != c.want || lost != c.lost {
			t.Errorf("%s: %+v, %v, not %+v, %v", name, got, lost, c.want, c.lost)
		}
	}
}

func TestOldChanged_OnlyOldNodesAreFollowed(t *testing.T) {
	for _, c := range []struct {
		old  Claim
		want Verdict
	}{
		{ghost, Verdict{}},
		{oldNode, Verdict{Do: CopyIn, Owner: "old", Text: true, Time: 999_980}},
		{Claim{Owner: "old", Text: true, Time: 7}, Verdict{Do: DeleteIn, Owner: "old", Text: true, Time: 7}},
	} {
		if got := OldChanged(c.old); got != c.want {
			t.Errorf("%+v: %+v, not %+v", c.old, got, c.want)
		}
	}
}
