package legacy

import (
	"crypto/sha512"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
	"github.com/p2p-today/go2p/internal/ttlset"
)

const (
	window       = 60 * time.Second  // a broadcast is passed on while it is younger
	ahead        = 120 * time.Second // a broadcast may be from the future by so much
	maxOutgoing  = 4                 // nodes that it dials by itself
	maxRequests  = 256               // messages that wait for the way to a node
	requestTime  = 30 * time.Second
	remember     = 300 * time.Second // that a broadcast was passed on: longer than one from the future is by anybody
	maxSeen      = 100_000
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

	pending  map[*Session]bool   // that have not greeted
	table    map[string]*Session // the others, by ID
	seen     *ttlset.Set         // IDs of broadcasts
	requests []request           // the oldest first
	senders  map[string]string   // who has sent broadcasts, by ID, where those do not tell
	ext      extension           // what the node does beyond a mesh node

	out     Effects
	dropped Drops
}

// An extension is what a node of a kind does beyond a mesh node.
type extension interface {
	// anonymous reports whether others need not say who they are: on the ring of 0.4 only those do that store.
	anonymous() bool
	// asks reports whether this node need not say who it is.
	asks() bool
	enter(now time.Time, s *Session)
	leave(now time.Time, s *Session)
	// introduce tells a node one key of its backlog.
	introduce(now time.Time, s *Session, key string)
	// sound tells whether a message is one of its own, and whether all nodes survive it.
	sound(m *wire.Message, flooded bool) (ok, mine bool)
	// refuses says why one node would not survive a message, if it would not.
	refuses(s *Session, m *wire.Message) Drop
	// note says that a node is told a message.
	note(s *Session, m *wire.Message)
	handle(now time.Time, s *Session, m *wire.Message) bool
	deadline() time.Time
	advance(now time.Time)
}

// plain extends a mesh node: it adds nothing.
type plain struct{}

func (plain) anonymous() bool                                { return false }
func (plain) asks() bool                                     { return false }
func (plain) enter(time.Time, *Session)                      {}
func (plain) leave(time.Time, *Session)                      {}
func (plain) introduce(time.Time, *Session, string)          {}
func (plain) sound(*wire.Message, bool) (ok, mine bool)      { return false, false }
func (plain) refuses(*Session, *wire.Message) Drop           { return 0 }
func (plain) note(*Session, *wire.Message)                   {}
func (plain) handle(time.Time, *Session, *wire.Message) bool { return false }
func (plain) deadline() time.Time                            { return time.Time{} }
func (plain) advance(time.Time)                              {}

// A request is a message that waits until it is known where its receiver is.
type request struct {
	id     string // of the question where that is; none while that has time
	wanted string
	m      *wire.Message
	since  time.Time
}

// NewNode makes a node of a mesh network, or the mesh part of another one.
func NewNode(cfg Config) *Node {
	n := &Node{
		net: cfg.Network, subnetID: cfg.Network.ID(), addr: cfg.Addr, autodial: cfg.Autodial, silence: cfg.HelloDelay,
		pending: map[*Session]bool{}, table: map[string]*Session{}, seen: ttlset.New(remember, maxSeen), senders: map[string]string{}, ext: plain{},
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

// sign makes a message this node's, from now. What another message has said before within
// the same second is a second younger, since nobody would hear it else. It fails if the
// message is too large, as may be one that only hands on what another node has said.
func (n *Node) sign(now time.Time, m *wire.Message) error {
	if m.Sender == "" {
		m.Sender = n.id
	}
	m.Time, m.Aligned = now.Unix(), true
	for {
		body, err := wire.Encode(m)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		m.Body = body
		if m.Main() != wire.Broadcast || n.seen.Add(now, m.ID) || m.Time > now.Add(window).Unix() {
			return nil
		}
		m.Time++
	}
}

// wins decides between two connections with one node. Old py nodes keep the one that the
// node with the larger ID has dialled; js nodes, and those that have not had this node's
// handshake, know of the first only.
func (n *Node) wins(now time.Time, s *Session, g wire.Greeting) bool {
	old := n.table[g.ID]
	if old == nil {
		return true
	}
	old.send(now, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(old))) // if it is dead, that shows
	if !s.spoken && g.Language != wire.Python {
		return false
	}
	if larger(n.id, g.ID) != s.outgoing {
		return false
	}
	old.shut(now, ErrTwice)
	return true
}

// larger compares IDs as the numbers that they are.
func larger(a, b string) bool {
	x, errA := wire.ParseBase58(a)
	y, errB := wire.ParseBase58(b)
	if errA != nil || errB != nil {
		x, y = new(big.Int).SetBytes([]byte(a)), new(big.Int).SetBytes([]byte(b))
	}
	return x.Cmp(y) > 0
}

// enter takes a node that has greeted into the table.
func (n *Node) enter(now time.Time, s *Session) {
	delete(n.pending, s)
	n.table[s.peer.ID] = s
	s.ready()
	n.emit(Event{Kind: EventConnect, Peer: s.Peer()})
	s.send(now, wire.Whisper, wire.Peers, n.net.Version.PeersArg(n.listed(s)))
	n.ext.enter(now, s)
	var others []request
	for _, r := range n.requests {
		if r.wanted == s.peer.ID {
			s.sendSigned(now, r.m)
		} else {
			others = append(others, r)
		}
	}
	n.requests = others
}

// Closed forgets a session whose connection is over.
func (n *Node) Closed(now time.Time, s *Session, why error) Effects {
	s.over = true
	delete(n.pending, s)
	if !s.greeted {
		n.emit(Event{Kind: EventRefused, Peer: s.Peer(), Err: why})
	}
	if n.table[s.peer.ID] == s {
		delete(n.table, s.peer.ID)
		n.emit(Event{Kind: EventDisconnect, Peer: s.Peer(), Err: why})
		n.ext.leave(now, s)
	}
	return n.take()
}

// SessionAt returns the session with the node that says that it listens at an address, or nil. Such a node is not
// dialled: of two connections, py may use neither.
func (n *Node) SessionAt(addr string) *Session {
	for _, s := range n.table {
		if !s.over && s.peer.Addr.String() == addr {
			return s
		}
	}
	return nil
}

// listed are the nodes that it tells of, to one of them.
func (n *Node) listed(to *Session) (list []wire.Listed) {
	for _, s := range n.sessions() {
		if s != to && s.peer.Addr.Host != "" {
			p := s.listed()
			p.Bin = p.Bin && to != nil && to.peer.Language == wire.Python
			list = append(list, p)
		}
	}
	return list
}

// listed is where the other is. py 3 knows others of py by bytes, and dials them again by text.
func (s *Session) listed() wire.Listed {
	return wire.Listed{Addr: s.peer.Addr, ID: s.peer.ID, Bin: s.peer.Language == wire.Python}
}

// sessions are those in the table, by ID.
func (n *Node) sessions() (list []*Session) {
	for _, s := range n.table {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Session) int {
		if a.peer.ID < b.peer.ID {
			return -1
		}
		return 1
	})
	return list
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
	for _, r := range n.requests {
		if due(r.since.Add(requestTime)); r.id == "" {
			due(r.since.Add(quietTime))
		}
	}
	due(n.ext.deadline())
	return first
}

// Advance does what is due.
func (n *Node) Advance(now time.Time) Effects {
	for s := range n.pending {
		s.advance(now)
	}
	for len(n.requests) > 0 && now.Sub(n.requests[0].since) >= requestTime {
		n.requests = n.requests[1:]
		n.Drop(DropNoWay)
	}
	for i := range n.requests {
		if r := &n.requests[i]; r.id == "" && now.Sub(r.since) >= quietTime {
			r.id, _ = n.ask(now, r.wanted)
		}
	}
	n.ext.advance(now)
	return n.take()
}

// receive takes a message of a node in the table.
func (n *Node) receive(now time.Time, s *Session, m *wire.Message) {
	flooded := m.Main() == wire.Broadcast || m.Main() == wire.Waterfall
	if flooded {
		if age := now.Unix() - m.Time; age >= int64(window.Seconds()) || -age > int64(ahead.Seconds()) {
			n.Drop(DropExpired)
			return
		}
		if !n.seen.Add(now, m.ID) {
			return
		}
		n.sentBy(m, m.Sender)
	}
	if !n.sound(m, flooded) {
		n.Drop(DropForm)
		return
	}
	if flooded && !IsGhost(n.id) {
		n.relay(now, s, m)
	}
	n.handle(now, s, m)
}

// sound tells whether all nodes survive what a message says.
func (n *Node) sound(m *wire.Message, flooded bool) bool {
	args := m.Args()
	if len(m.Packets) == 0 {
		return false
	}
	if ok, mine := n.ext.sound(m, flooded); mine {
		return ok
	}
	texts := func(n int) bool {
		for i := range n {
			if _, ok := wire.Text(args[i]); !ok {
				return false
			}
		}
		return true
	}
	switch m.Sub() {
	case wire.Handshake, wire.Peers:
		return !flooded && len(args) > 0
	case wire.Compression, wire.Resend:
		return false
	case wire.Request:
		return len(args) > 0 && len(args) <= 2 && texts(len(args))
	case wire.Response:
		if len(args) != 2 {
			return false
		}
		_, err := n.net.Version.ParseListed(args[1])
		return err == nil && texts(1)
	}
	return true
}

// relay passes a broadcast on to all but its sender and whom it came from.
func (n *Node) relay(now time.Time, from *Session, m *wire.Message) {
	if n.net.Version == wire.V4 && m.Main() == wire.Broadcast {
		copied := *m
		copied.Flag = n.net.Version.MainPacket(wire.Waterfall)
		var err error
		if copied.Body, err = wire.Encode(&copied); err != nil {
			n.Drop(DropEncoding)
			return
		}
		m = &copied
	}
	for _, s := range n.sessions() {
		if s != from && s.peer.ID != m.Sender {
			s.forward(now, m)
		}
	}
}

// Broadcast sends packets to all nodes of the network.
func (n *Node) Broadcast(now time.Time, packets []any) (Effects, error) {
	_, err := n.broadcast(now, wire.Broadcast, packets...)
	return n.take(), err
}

// broadcast sends a message of this node to all.
func (n *Node) broadcast(now time.Time, sub wire.Flag, args ...any) (*wire.Message, error) {
	m := wire.New(n.net.Version, wire.Broadcast, sub, args...)
	if err := n.sign(now, m); err != nil {
		return nil, err
	}
	for _, s := range n.sessions() {
		s.forward(now, m)
	}
	return m, nil
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

// offered are peers of another node, which it dials if it may and has few.
func (n *Node) offered(list []wire.Listed) {
	if !n.autodial {
		return
	}
	outgoing := 0
	for _, s := range n.table {
		if s.outgoing {
			outgoing++
		}
	}
	for _, p := range list {
		if outgoing < maxOutgoing && p.ID != n.id && n.table[p.ID] == nil && p.Addr != n.addr {
			outgoing++
			n.out.Dials = append(n.out.Dials, p)
		}
	}
}

// locate answers where a node is that is connected. The answer is a broadcast, as nobody
// knows how the question came here. A js node does not survive it.
func (n *Node) locate(now time.Time, s *Session, m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	wanted, _ := wire.Text(m.Args()[1])
	target := n.table[wanted]
	if target == nil || target.peer.Addr.Host == "" || s.peer.Language == wire.JavaScript && n.net.Version.Typed() {
		return
	}
	s.send(now, wire.Broadcast, wire.Response, n.text(id), n.net.Version.ListedArg(target.listed()))
}

// located is where somebody is to whom a message is to go.
func (n *Node) located(m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	p, err := n.net.Version.ParseListed(m.Args()[1])
	if err == nil && slices.ContainsFunc(n.requests, func(r request) bool { return r.id == id && r.wanted == p.ID }) {
		n.out.Dials = append(n.out.Dials, p)
	}
}

// Whisper sends packets to one node. Errors: ErrNoPeers, ErrFull, ErrTooLarge.
func (n *Node) Whisper(now time.Time, to string, packets []any) (Effects, error) {
	err := n.whisper(now, to, wire.New(n.net.Version, wire.Whisper, wire.Whisper, packets...))
	return n.take(), err
}

// whisper sends a message to one node. If it is not connected, others are asked where it
// is, and it is dialled.
func (n *Node) whisper(now time.Time, to string, m *wire.Message) error {
	if s := n.table[to]; s != nil {
		s.sendSigned(now, m)
		return nil
	}
	if len(n.table) == 0 {
		return ErrNoPeers
	}
	if len(n.requests) >= maxRequests {
		return fmt.Errorf("%w: %d messages wait for the way", ErrFull, maxRequests)
	}
	id, err := n.ask(now, to)
	if err != nil {
		return err
	}
	n.requests = append(n.requests, request{id, to, m, now})
	return nil
}

// ask asks everybody where a node is, once a second. py 3 has nodes of js by text, and
// those of py by bytes. Equal questions of two nodes would be one in 0.4 and 0.5, and only one
// of them answered.
func (n *Node) ask(now time.Time, wanted string) (id string, err error) {
	h := sha512.Sum384([]byte(n.id + wanted + wire.TimeText(now.Unix())))
	id = wire.Base58(h[:])
	if slices.ContainsFunc(n.requests, func(r request) bool { return r.id == id }) {
		return id, nil
	}
	_, err = n.broadcast(now, wire.Request, n.text(id), []byte(wanted))
	if err == nil && n.net.Version.Typed() {
		_, err = n.broadcast(now, wire.Request, id, wanted)
	}
	return id, err
}

// text is text as it travels.
func (n *Node) text(s string) any {
	if n.net.Version.Typed() {
		return s
	}
	return []byte(s)
}

func (n *Node) emit(ev Event) { n.out.Events = append(n.out.Events, ev) }
