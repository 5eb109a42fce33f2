// Package chord is to be the k-bounded table: a dictionary spread over at most 2^k storing
// peers, any key of which is at most k hops away. What is here so far is its arithmetic;
// nothing is exported that could be used yet:
//
//	id.go         the circle of 2^k slots, and where keys and peers belong on it
//	lookup.go     fingers, and the next hop
//	placement.go  the five homes of a key
package chord
