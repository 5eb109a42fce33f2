package legacy

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxOutgoing  = 4 // nodes that it dials by itself
	maxWebSocket = 2<<20 - 4
)

// Config says which node a Node is.
type Config struct {
	Network
	Addr        wire.Addr     // at which the node says that it listens
	Salt        string        // tells the node from others at its address
	Ghost       string        // the ID of an author, of a node that only receives for it; otherwise empty
	Autodial    bool          // dial nodes that others tell of
	Compression bool          // announce what others may compress with
	HelloDelay  time.Duration // for the other's first word, before a node that has dialled speaks
}

// A Node is a node of an old network: it decides which nodes it knows, and what it passes on. Its caller serializes all
// calls, and performs the Effects that they return.
type Node struct {
	net      Network
	id       string
	subnetID string // as it travels
	addr     wire.Addr
	methods  []wire.Method
	autodial bool
	silence  time.Duration // for the other's first word, before a node that has dialled speaks

	pending map[*Session]bool   // that have not greeted
	table   map[string]*Session // the others, by ID
	history history
	postbox postbox
	ext     extension // what the node does beyond a mesh node

	out     Effects
	dropped Drops
}

// NewNode makes a node of a mesh network, or the mesh part of another one.
func NewNode(cfg Config) *Node {
	n := &Node{
		net: cfg.Network, subnetID: cfg.Network.ID(), addr: cfg.Addr, autodial: cfg.Autodial, silence: cfg.HelloDelay,
		pending: map[*Session]bool{}, table: map[string]*Session{}, history: newHistory(), ext: plain{},
	}
	if cfg.Compression {
		n.methods = slices.DeleteFunc(slices.Clone(wire.Methods), func(m wire.Method) bool { return m == wire.Snappy && n.net.Version == wire.V4 })
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

// Peers returns the nodes that are connected, by ID.
func (n *Node) Peers() (list []Peer) {
	for _, s := range n.sessions() {
		list = append(list, s.Peer())
	}
	return list
}

// Session returns the session with a node that is connected, or nil.
func (n *Node) Session(id string) *Session { return n.table[id] }

// Dropped returns how much was not passed on or taken, by reason.
func (n *Node) Dropped() Drops { return n.dropped }

// Drop counts something that was not passed on or taken.
func (n *Node) Drop(why Drop) { n.dropped[why]++ }

// greeting are the packets of this node's handshake.
func (n *Node) greeting() []any {
	methods := slices.Clone(n.methods)
	slices.Reverse(methods) // which tells it from js
	return n.net.Version.GreetingArgs(wire.Greeting{ID: n.id, SubnetID: n.subnetID, Addr: n.addr, Methods: methods})
}

// Deadline returns when Advance wants to be called next; zero is never.
func (n *Node) Deadline() (first time.Time) {
	due := func(d time.Time) {
		if !d.IsZero() && (first.IsZero() || d.Before(first)) {
			first = d
		}
	}
	for s := range n.pending {
		due(s.deadline())
	}
	due(n.postbox.deadline())
	due(n.ext.deadline())
	return first
}

// Advance does what is due.
func (n *Node) Advance(now time.Time) Effects {
	for s := range n.pending {
		s.advance(now)
	}
	for range n.postbox.expire(now) {
		n.Drop(DropNoWay)
	}
	for i := range n.postbox.parked {
		if p := &n.postbox.parked[i]; p.question == "" && now.Sub(p.since) >= quietTime {
			p.question, _ = n.ask(now, p.to)
		}
	}
	n.ext.advance(now)
	return n.take()
}

// handle takes what a message says.
func (n *Node) handle(now time.Time, s *Session, m *wire.Message) {
	args := m.Args()
	switch sub := m.Sub(); {
	case n.ext.handle(now, s, m):
	case sub == wire.Peers:
		n.out.Answered = append(n.out.Answered, s)
		if list, err := n.net.Version.ParsePeers(args[0]); err == nil {
			n.offered(list)
		}
	case sub == wire.Request && len(args) == 1:
		// This library asks behind some frames, to know when they were read; py of 0.4 never stops.
		if now.Sub(s.answered) >= starPause || s.told > 1 && n.net.Version > wire.V4 {
			s.answered, s.told = now, 0
			s.send(now, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(s)))
		}
	case sub == wire.Request:
		n.locate(now, s, m)
	case sub == wire.Response:
		n.located(m)
	case sub == wire.Ping && m.Main() != wire.Whisper:
		n.heardBridge(m)
	case sub == wire.Broadcast, sub == wire.Whisper:
		kind := KindBroadcast
		if m.Main() != wire.Broadcast && m.Main() != wire.Waterfall {
			kind = KindWhisper
		}
		n.out.Messages = append(n.out.Messages, Message{From: m.Sender, ID: messageID(m), Time: time.Unix(m.Time, 0).UTC(), Kind: kind, Packets: listToGo(args)})
	}
}

// text is text as it travels.
func (n *Node) text(s string) any {
	if n.net.Version.Typed() {
		return s
	}
	return []byte(s)
}

func (n *Node) emit(ev Event) { n.out.Events = append(n.out.Events, ev) }
