package policy

import "time"

// A Claim is the entry of a key in the dictionary of one side.
type Claim struct {
	Held  bool
	Owner string // ID in the old network, whichever side it is
	Ghost bool   // the owner is native: a bridge has made its ID
	Text  bool   // the owner travels as text in the old network
	Time  int64  // seconds
}

// Sides are the claims of both dictionaries to a key. The native owner is a node of this old network, or a ghost there.
type Sides struct {
	Native, Old Claim
	Exists      bool // the native value exists in the old version
	Equal       bool // the old value is the native one
	Accepted    bool // old nodes accept a write of the native owner
}

// A Verdict is an action, and the old owner on whose behalf the bridge acts.
type Verdict struct {
	Do    Action
	Owner string // ID in the old network
	Text  bool   // the owner travels as text there
	Time  int64  // seconds
}

func on(do Action, c Claim, at int64) Verdict { return Verdict{do, c.Owner, c.Text, at} }

// NativeChanged decides when the native dictionary has changed.
func NativeChanged(now time.Time, s Sides) Verdict {
	native, old := s.Native, s.Old
	ofOldNode := native.Held && !native.Ghost
	switch {
	case !native.Held && old.Held:
		return on(DeleteOut, old, now.Unix())
	case !native.Held, ofOldNode && old.Held && old.Owner == native.Owner:
		return Verdict{}
	case !s.Exists && old.Held && old.Ghost:
		return on(DeleteOut, old, now.Unix()) // no value is better than one that is out of date
	case !s.Exists:
		return Verdict{Do: Withhold}
	case s.Equal && (old.Owner != native.Owner || old.Time >= native.Time):
		return Verdict{}
	case s.Accepted:
		return on(CopyOut, native, Fresh(now, native.Time))
	}
	return restore(now, old)
}

// restore repeats the native value under the ID of the old owner, which all old nodes accept: if both sides have
// claimed a key, the native value stands.
func restore(now time.Time, old Claim) Verdict { return on(CopyOut, old, Fresh(now, old.Time)) }

// NativeRefused decides when the native dictionary has refused what the old one has done, since somebody else holds the
// lease of the key there.
func NativeRefused(now time.Time, did Action, s Sides) Verdict {
	switch {
	case did == DeleteIn || !s.Old.Held:
		return NativeChanged(now, s)
	case !s.Exists:
		return Verdict{Do: Withhold}
	case s.Equal:
		return Verdict{}
	}
	return restore(now, s.Old)
}

// OldChanged decides when the old dictionary has changed. Writes of ghosts came over a bridge, and go back over none.
func OldChanged(old Claim) Verdict {
	switch {
	case old.Ghost:
		return Verdict{}
	case old.Held:
		return on(CopyIn, old, old.Time)
	}
	return on(DeleteIn, old, old.Time)
}

// WriteLost decides about a write in the old network that the bridge's node has not accepted, and reports whether its
// writer has lost the key, and may go on to claim it. If own is set, the node holds the writer's own value, which was
// copied out under its ghost before the bridge knew that the writer is of this network. If same is set, the write
// carries the native value; it may come from another bridge.
func WriteLost(now time.Time, write Claim, own, same bool, s Sides) (v Verdict, lost bool) {
	switch {
	case own && write.Held:
		return OldChanged(write), false
	case !s.Native.Held || !s.Exists:
		return Verdict{}, false
	case same:
		return Verdict{}, true
	}
	return restore(now, write), true
}
