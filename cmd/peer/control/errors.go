package control

// A Code is the kind of an [Error]. The text of an error is for people and may change; codes do not.
type Code string

// The codes.
const (
	CodeFailed     Code = "failed"      // anything that has no code of its own
	CodeBadRequest Code = "bad_request" // the request is not what the path takes
	CodeTooLarge   Code = "too_large"   // a message, or a request
	CodeTimeout    Code = "timeout"     // there was no answer in the time that the client waits

	// Of the mesh.
	CodeNoNeighbours    Code = "no_neighbours"     // nobody is connected
	CodeNotNeighbour    Code = "not_neighbour"     // the peer named is not connected
	CodeUnreachable     Code = "unreachable"       // the peer named cannot be reached
	CodeNoCommonNetwork Code = "no_common_network" // the other peer has another network, or another key
	CodeUnknownMessage  Code = "unknown_message"   // the message to reply to is not one of the last

	// Of the dictionary and the table.
	CodeNotFound       Code = "not_found"       // the key is not there; Store says where
	CodeValueTooLarge  Code = "value_too_large" // a key, a value or an update
	CodeLeaseHeld      Code = "lease_held"      // the key is another's; Owner and For say whose, and how long
	CodeLockHeld       Code = "lock_held"       // the lock is another client's of this peer
	CodeLeaseMismatch  Code = "lease_mismatch"  // the other peers have another lease time
	CodeUnacknowledged Code = "unacknowledged"  // it is written here, and fewer others than wanted have said that they have it
	CodeKMismatch      Code = "k_mismatch"      // the other peers have another k
	CodeRingFull       Code = "ring_full"       // as many peers store as can
	CodeNoPeers        Code = "no_peers"        // no peer that stores is known
	CodeNoMajority     Code = "no_majority"     // too few of a key's replicas answer

	// Of the bridge.
	CodeUnknownLink Code = "unknown_link" // no link has the name
	CodeLinkExists  Code = "link_exists"  // another link has the name
	CodeNoBridge    Code = "no_bridge"    // no bridge to the old network is known

	// Of the client itself, never in an answer.
	CodeNotRunning  Code = "not_running" // no peer runs with the data directory
	CodeInterrupted Code = "interrupted" // the caller's context has ended
)

// An Error is the body of an answer with a status of 4xx or 5xx, and what a [Client] returns.
type Error struct {
	Text string `json:"error"`
	Code Code   `json:"code"`

	Store Store   `json:"store,omitempty"` // not_found
	Owner string  `json:"owner,omitempty"` // lease_held: a peer, or an old node as legacy:<subnet>/<id>
	For   float64 `json:"for_s,omitempty"` // lease_held: seconds until anybody may write the key
}

// Error returns the text for people.
func (e *Error) Error() string { return e.Text }
