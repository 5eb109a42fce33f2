package compat

// CORE: a node of an old network: whom it knows, and what it passes on.

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

// A citizen is a node of an old network. It has the time from its callers, who do what
// gathers in out.
type citizen struct {
	version   wire.Version
	kind      Kind
	transport Transport
	id        string
	subnet    string
	subnetID  string // as it travels
	addr      wire.Addr
	methods   []wire.Method
	autodial  bool
	listening time.Duration // for the other's first word, before one who dialled speaks

	pending  map[*session]bool   // that have not greeted
	table    map[string]*session // the others, by ID
	seen     *ttlset.Set         // IDs of broadcasts
	requests []request           // the oldest first
	senders  map[string]string   // who has sent broadcasts, by ID, where those do not tell
	ext      extension           // of a sync or chord node

	out     effects
	dropped map[Drop]uint64
}

// An extension is what a node of a kind does beyond a mesh node.
type extension interface {
	enter(now time.Time, s *session)
	leave(now time.Time, s *session)
	// introduce tells a node one key of its backlog.
	introduce(now time.Time, s *session, key string)
	// sound tells whether a message is one of its own, and whether all nodes survive it.
	sound(m *wire.Message, spreads bool) (ok, mine bool)
	// refuses says why one node would not survive a message, if it would not.
	refuses(s *session, m *wire.Message) Drop
	// note says that a node is told a message.
	note(s *session, m *wire.Message)
	handle(now time.Time, s *session, m *wire.Message) bool
	deadline() time.Time
	advance(now time.Time)
}

// effects are what a citizen wants done.
type effects struct {
	frames  []parcel
	shut    []shutting
	dials   []wire.Listed
	events  []any
	entered []*session // that need not be waited for any more
	heard   []*session // that have told of their peers, as they do when they are asked
	found   []*lookup  // that are over
}

type parcel struct {
	to     *session
	body   []byte
	paced  bool // the other reads as py does from 0.5 on, or that is not known: see pace
	answer bool // the other may wait for it until it goes on
	asks   bool // the other answers it with its peers, once it has read it
}

type shutting struct {
	s   *session
	why error
}

// A request is a message that waits until it is known where its receiver is.
type request struct {
	id     string // of the question where that is; none while that has time
	wanted string
	m      *wire.Message
	since  time.Time
}

// newCitizen makes one, which a salt tells from others at its address.
func newCitizen(v wire.Version, opts Options, addr wire.Addr, salt string) *citizen {
	c := &citizen{
		version: v, kind: opts.Kind, transport: opts.Transport, subnet: opts.Subnet, subnetID: opts.subnetID(v), addr: addr,
		autodial: opts.Autodial, listening: opts.listening, pending: map[*session]bool{}, table: map[string]*session{},
		seen: ttlset.New(remember, maxSeen), senders: map[string]string{}, dropped: map[Drop]uint64{},
	}
	if opts.Compression {
		c.methods = slices.DeleteFunc(slices.Clone(wire.Methods), func(m wire.Method) bool { return m == wire.Snappy && v == wire.V4 })
	}
	c.id = wire.NodeID(addr.Host, addr.Port, c.subnetID, salt)
	if opts.persona != "" {
		c.id = opts.persona
		return c
	}
	if opts.Kind == Sync {
		c.ext = &dictionary{c: c, leasing: !opts.NoLeasing, entries: map[string]entry{}}
	}
	if opts.Kind == Chord {
		c.ext = newSpread(c, opts.K)
	}
	return c
}

// greeting are the packets of this node's handshake.
func (c *citizen) greeting() []any {
	methods := slices.Clone(c.methods)
	slices.Reverse(methods) // which tells it from js
	return c.version.GreetingArgs(wire.Greeting{ID: c.id, SubnetID: c.subnetID, Addr: c.addr, Methods: methods})
}

// sign makes a message this node's, from now. What another message has said before within
// the same second is a second younger, since nobody would hear it else. It fails if the
// message is too large, as may be one that only hands on what another node has said.
func (c *citizen) sign(now time.Time, m *wire.Message) error {
	if m.Sender == "" {
		m.Sender = c.id
	}
	m.Time, m.Aligned = now.Unix(), true
	for {
		body, err := wire.Encode(m)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		m.Body = body
		if m.Main() != wire.Broadcast || c.seen.Add(now, m.ID) || m.Time > now.Add(window).Unix() {
			return nil
		}
		m.Time++
	}
}

// wins decides between two connections with one node. Old py nodes keep the one that the
// node with the larger ID has dialled; js nodes, and those that have not had this node's
// handshake, know of the first only.
func (c *citizen) wins(now time.Time, s *session, g wire.Greeting) bool {
	old := c.table[g.ID]
	if old == nil {
		return true
	}
	old.tell(now, wire.Whisper, wire.Peers, c.version.PeersArg(c.listed(old))) // if it is dead, that shows
	if !s.spoken && g.Language != wire.Python {
		return false
	}
	if larger(c.id, g.ID) != s.outgoing {
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
func (c *citizen) enter(now time.Time, s *session) {
	delete(c.pending, s)
	c.table[s.peer.ID] = s
	s.ready()
	c.tell(Event{Kind: EventConnect, Peer: c.peer(s)})
	s.tell(now, wire.Whisper, wire.Peers, c.version.PeersArg(c.listed(s)))
	if c.ext != nil {
		c.ext.enter(now, s)
	}
	var others []request
	for _, r := range c.requests {
		if r.wanted == s.peer.ID {
			s.say(now, r.m)
		} else {
			others = append(others, r)
		}
	}
	c.requests = others
}

// closed forgets a connection.
func (c *citizen) closed(now time.Time, s *session, why error) {
	s.over = true
	delete(c.pending, s)
	if c.table[s.peer.ID] != s {
		return
	}
	delete(c.table, s.peer.ID)
	c.tell(Event{Kind: EventDisconnect, Peer: c.peer(s), Err: why})
	if c.ext != nil {
		c.ext.leave(now, s)
	}
}

// at is the connection with the node that says that it listens at an address, if there is
// one. It is not dialled: of two connections, py may use neither.
func (c *citizen) at(addr string) *session {
	for _, s := range c.table {
		if !s.over && s.peer.Addr.String() == addr {
			return s
		}
	}
	return nil
}

// listed are the nodes that it tells of, to one of them.
func (c *citizen) listed(to *session) (list []wire.Listed) {
	for _, s := range c.sessions() {
		if s != to && s.peer.Addr.Host != "" {
			p := s.listed()
			p.Bin = p.Bin && to != nil && to.peer.Language == wire.Python
			list = append(list, p)
		}
	}
	return list
}

// listed is where the other is. py 3 knows others of py by bytes, and dials them again by text.
func (s *session) listed() wire.Listed {
	return wire.Listed{Addr: s.peer.Addr, ID: s.peer.ID, Bin: s.peer.Language == wire.Python}
}

// sessions are those in the table, by ID.
func (c *citizen) sessions() (list []*session) {
	for _, s := range c.table {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *session) int {
		if a.peer.ID < b.peer.ID {
			return -1
		}
		return 1
	})
	return list
}

// deadline is when advance wants to be called next; zero is never.
func (c *citizen) deadline() (first time.Time) {
	due := func(d time.Time) {
		if !d.IsZero() && (first.IsZero() || d.Before(first)) {
			first = d
		}
	}
	for s := range c.pending {
		due(s.deadline())
	}
	for _, r := range c.requests {
		if due(r.since.Add(requestTime)); r.id == "" {
			due(r.since.Add(quietTime))
		}
	}
	if c.ext != nil {
		due(c.ext.deadline())
	}
	return first
}

// advance does what is due.
func (c *citizen) advance(now time.Time) {
	for s := range c.pending {
		s.advance(now)
	}
	for len(c.requests) > 0 && now.Sub(c.requests[0].since) >= requestTime {
		c.requests = c.requests[1:]
		c.drop(DropNoWay)
	}
	for i := range c.requests {
		if r := &c.requests[i]; r.id == "" && now.Sub(r.since) >= quietTime {
			r.id, _ = c.ask(now, r.wanted)
		}
	}
	if c.ext != nil {
		c.ext.advance(now)
	}
}

// receive takes a message of a node in the table.
func (c *citizen) receive(now time.Time, s *session, m *wire.Message) {
	spreads := m.Main() == wire.Broadcast || m.Main() == wire.Waterfall
	if spreads {
		if age := now.Unix() - m.Time; age >= int64(window.Seconds()) || -age > int64(ahead.Seconds()) {
			c.drop(DropExpired)
			return
		}
		if !c.seen.Add(now, m.ID) {
			return
		}
		c.sentBy(m, m.Sender)
	}
	if !c.sound(m, spreads) {
		c.drop(DropForm)
		return
	}
	if spreads && !marked(c.id) {
		c.relay(now, s, m)
	}
	c.handle(now, s, m)
}

// sound tells whether all nodes survive what a message says.
func (c *citizen) sound(m *wire.Message, spreads bool) bool {
	args := m.Args()
	if len(m.Packets) == 0 {
		return false
	}
	if c.ext != nil {
		if ok, mine := c.ext.sound(m, spreads); mine {
			return ok
		}
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
		return !spreads && len(args) > 0
	case wire.Compression, wire.Resend:
		return false
	case wire.Request:
		return len(args) > 0 && len(args) <= 2 && texts(len(args))
	case wire.Response:
		if len(args) != 2 {
			return false
		}
		_, err := c.version.ParseListed(args[1])
		return err == nil && texts(1)
	}
	return true
}

// relay passes a broadcast on to all but its sender and whom it came from.
func (c *citizen) relay(now time.Time, from *session, m *wire.Message) {
	if c.version == wire.V4 && m.Main() == wire.Broadcast {
		copied := *m
		copied.Flag = c.version.MainPacket(wire.Waterfall)
		var err error
		if copied.Body, err = wire.Encode(&copied); err != nil {
			c.drop(DropEncoding)
			return
		}
		m = &copied
	}
	for _, s := range c.sessions() {
		if s != from && s.peer.ID != m.Sender {
			s.send(now, m)
		}
	}
}

// broadcast sends a message of this node to all.
func (c *citizen) broadcast(now time.Time, sub wire.Flag, args ...any) (*wire.Message, error) {
	m := wire.New(c.version, wire.Broadcast, sub, args...)
	if err := c.sign(now, m); err != nil {
		return nil, err
	}
	for _, s := range c.sessions() {
		s.send(now, m)
	}
	return m, nil
}

// handle takes what a message says.
func (c *citizen) handle(now time.Time, s *session, m *wire.Message) {
	args := m.Args()
	switch sub := m.Sub(); {
	case c.ext != nil && c.ext.handle(now, s, m):
	case sub == wire.Peers:
		c.out.heard = append(c.out.heard, s)
		if list, err := c.version.ParsePeers(args[0]); err == nil {
			c.offered(list)
		}
	case sub == wire.Request && len(args) == 1:
		// This library asks behind some frames, to know when they were read; py of 0.4 never stops.
		if now.Sub(s.answered) >= starPause || s.told > 1 && c.version > wire.V4 {
			s.answered, s.told = now, 0
			s.tell(now, wire.Whisper, wire.Peers, c.version.PeersArg(c.listed(s)))
		}
	case sub == wire.Request:
		c.locate(now, s, m)
	case sub == wire.Response:
		c.located(m)
	case sub == wire.Ping && m.Main() != wire.Whisper:
		c.heardBridge(m)
	case sub == wire.Broadcast, sub == wire.Whisper:
		kind := KindBroadcast
		if m.Main() != wire.Broadcast && m.Main() != wire.Waterfall {
			kind = KindWhisper
		}
		c.tell(Message{From: m.Sender, ID: messageID(m), Time: time.Unix(m.Time, 0).UTC(), Kind: kind, Packets: toGo(args)})
	}
}

// offered are peers of another node, which it dials if it may and has few.
func (c *citizen) offered(list []wire.Listed) {
	if !c.autodial {
		return
	}
	outgoing := 0
	for _, s := range c.table {
		if s.outgoing {
			outgoing++
		}
	}
	for _, p := range list {
		if outgoing < maxOutgoing && p.ID != c.id && c.table[p.ID] == nil && p.Addr != c.addr {
			outgoing++
			c.out.dials = append(c.out.dials, p)
		}
	}
}

// locate answers where a node is that is connected. The answer is a broadcast, as nobody
// knows how the question came here. A js node does not survive it.
func (c *citizen) locate(now time.Time, s *session, m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	wanted, _ := wire.Text(m.Args()[1])
	target := c.table[wanted]
	if target == nil || target.peer.Addr.Host == "" || s.peer.Language == wire.JavaScript && c.version.Typed() {
		return
	}
	s.tell(now, wire.Broadcast, wire.Response, c.text(id), c.version.ListedArg(target.listed()))
}

// located is where somebody is to whom a message is to go.
func (c *citizen) located(m *wire.Message) {
	id, _ := wire.Text(m.Args()[0])
	p, err := c.version.ParseListed(m.Args()[1])
	if err == nil && slices.ContainsFunc(c.requests, func(r request) bool { return r.id == id && r.wanted == p.ID }) {
		c.out.dials = append(c.out.dials, p)
	}
}

// whisper sends a message to one node. If it is not connected, others are asked where it
// is, and it is dialled.
func (c *citizen) whisper(now time.Time, to string, m *wire.Message) error {
	if s := c.table[to]; s != nil {
		s.say(now, m)
		return nil
	}
	if len(c.table) == 0 {
		return ErrNoPeers
	}
	if len(c.requests) >= maxRequests {
		return fmt.Errorf("%w: %d messages wait for the way", ErrFull, maxRequests)
	}
	id, err := c.ask(now, to)
	if err != nil {
		return err
	}
	c.requests = append(c.requests, request{id, to, m, now})
	return nil
}

// ask asks everybody where a node is, once a second. py 3 has nodes of js by text, and
// those of py by bytes. Equal questions of two nodes would be one in 0.4 and 0.5, and only one
// of them answered.
func (c *citizen) ask(now time.Time, wanted string) (id string, err error) {
	h := sha512.Sum384([]byte(c.id + wanted + wire.TimeText(now.Unix())))
	id = wire.Base58(h[:])
	if slices.ContainsFunc(c.requests, func(r request) bool { return r.id == id }) {
		return id, nil
	}
	_, err = c.broadcast(now, wire.Request, c.text(id), []byte(wanted))
	if err == nil && c.version.Typed() {
		_, err = c.broadcast(now, wire.Request, id, wanted)
	}
	return id, err
}

// text is text as it travels.
func (c *citizen) text(s string) any {
	if c.version.Typed() {
		return s
	}
	return []byte(s)
}

func (c *citizen) tell(event any) { c.out.events = append(c.out.events, event) }

func (c *citizen) drop(why Drop) { c.dropped[why]++ }

func (c *citizen) peer(s *session) Peer {
	return Peer{ID: s.peer.ID, Addr: s.peer.Addr.String(), Remote: s.remote, Language: s.peer.Language.String(), Outgoing: s.outgoing, Since: s.since}
}
