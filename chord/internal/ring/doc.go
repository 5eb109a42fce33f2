// Package ring decides where keys and nodes belong on a circle of 2^k slots, who follows
// whom on it, and who is asked next in a lookup.
//
// It is Chord as P. Zave corrected it ("Reasoning about identifier spaces: How to make Chord
// correct", 2017), with lists of predecessors beside those of successors, slots that their
// owners grant, and a merge of rings that were founded apart.
package ring
