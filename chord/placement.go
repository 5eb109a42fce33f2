package chord

// CORE: the five homes of a key.

// An answer to a lookup is the owner of a position and the nodes that follow it
// clockwise, at most four.
type answer []node

// homes are the nodes that keep a key, from the answers for its positions: the owners,
// and where two positions fall on one node, for the later one the next node clockwise that
// is no home yet. So with five nodes or more a key has five homes, with fewer all of them;
// and whoever looks them up finds the same.
func homes(answers [copies]answer) []node {
	var chosen []node
	taken := map[string]bool{}
	for _, a := range answers {
		for _, n := range a {
			if !taken[n.peer] {
				taken[n.peer] = true
				chosen = append(chosen, n)
				break
			}
		}
	}
	return chosen
}
