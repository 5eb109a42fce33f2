// Package policy decides what a bridge does about a key after one side has changed it: copy the change to the other
// side, delete the key there, restore the native value under the ID of an old node, or do nothing.
package policy

import "time"

// An Action is what a bridge does with a key.
type Action int

const (
	Nothing   Action = iota
	CopyIn           // give the native side the old value
	DeleteIn         // delete it there
	CopyOut          // give the old network the native value
	DeleteOut        // delete it there
	Withhold         // nothing, since the native value does not exist in the old version
	Wait             // look at the key again in a while
)

func (a Action) String() string {
	return [...]string{"nothing", "copy in", "delete in", "copy out", "delete out", "withhold", "wait"}[a]
}

// MaxAge is how old a store may be that old nodes still pass on: a minute, with something to spare. An older one is
// written as if from now.
const MaxAge = 50 * time.Second

// Backdate is how much older than they are native stores claim to be, so that they do not carry the second in which an
// old node, which has not heard of them, writes the same key. Two owners of one second have to be compared, and py of
// 0.6 and 0.7 closes if one of them is of py and the other of js.
const Backdate = 5 * time.Second

// Fresh returns a time that old nodes pass on: t, or one just before now if t is too long ago or too far ahead.
func Fresh(now time.Time, t int64) int64 {
	if d := now.Sub(time.Unix(t, 0)); d > MaxAge || -d > MaxAge {
		return now.Add(-Backdate).Unix()
	}
	return t
}
