package legacy

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// A Config says which node NewNode makes.
type Config struct {
	Network
	Addr        wire.Addr     // at which the node says that it listens
	Salt        string        // tells the node from others at its address
	Ghost       string        // the ID of the author for which the node only receives; otherwise empty
	Autodial    bool          // dial nodes that others tell of
	Compression bool          // announce what others may compress with
	HelloDelay  time.Duration // for the other's first word, before a node that has dialled speaks
}

// A Node is a node of an old network. It decides which nodes it knows, and what it passes on. Its owner serializes all
// calls, and performs the Effects that they return.
type Node struct {
	sender
	table
	postbox postbox
	ext     extension // what the node does beyond a mesh node

	autodial bool
	silence  time.Duration // Config.HelloDelay
}

// NewNode makes a node of a mesh network, or of a network of any kind if it is a ghost.
func NewNode(cfg Config) *Node {
	n := &Node{table: newTable(), ext: plain{}, autodial: cfg.Autodial, silence: cfg.HelloDelay}
	n.identity = identity{net: cfg.Network, subnetID: cfg.Network.ID(), addr: cfg.Addr}
	n.filter, n.history = plain{}, newHistory()
	if cfg.Compression {
		n.methods = slices.DeleteFunc(slices.Clone(wire.Methods), func(m wire.Method) bool {
			return m == wire.Snappy && n.net.Version == wire.V4
		})
	}
	n.id = wire.NodeID(cfg.Addr.Host, cfg.Addr.Port, n.subnetID, cfg.Salt)
	if cfg.Ghost != "" {
		n.id = cfg.Ghost
	}
	return n
}

// ID returns the ID of the node.
func (n *Node) ID() string { return n.id }

// Network returns the network of the node.
func (n *Node) Network() Network { return n.net }

// Peers returns the nodes that are connected, sorted by ID.
func (n *Node) Peers() (list []Peer) {
	for _, s := range n.sessions() {
		list = append(list, s.Peer())
	}
	return list
}

// Session returns the session with a node that is connected, or nil.
func (n *Node) Session(id string) *Session { return n.members[id] }

// Dropped returns how much was dropped, by reason.
func (n *Node) Dropped() Drops { return n.dropped }

// extend has a node do more than a mesh node does.
func (n *Node) extend(ext extension) {
	n.ext, n.filter = ext, ext
}
