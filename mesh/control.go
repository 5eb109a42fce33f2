package mesh

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/frame"
	"github.com/p2p-today/go2p/mesh/internal/peerlimit"
	"github.com/p2p-today/go2p/mesh/internal/repair"
)

// A controlKind is what a link message says.
type controlKind uint8

const (
	controlPing      controlKind = 1 // answer with a pong of the same nonce
	controlPong      controlKind = 2
	controlWantPeers controlKind = 3 // answer with a list of the same nonce, with Target in it if known
	controlPeers     controlKind = 4
	controlHave      controlKind = 5 // which broadcasts the teller can serve
	controlFetch     controlKind = 6 // answer with those batches of Range that there are
	controlBatches   controlKind = 7
	controlPush      controlKind = 8 // batches for a member that gossipsub passes over
	controlAckQuery  controlKind = 9 // answer with the same nonce as soon as you have all of Range
	controlAck       controlKind = 10
)

// A controlMessage is what neighbours tell each other, each on a stream of its own
// that stays open.
type controlMessage struct {
	Kind    controlKind `cbor:"1,keyasint"`
	Nonce   uint64      `cbor:"2,keyasint,omitempty"`
	Target  []byte      `cbor:"3,keyasint,omitempty"`
	Peers   []listed    `cbor:"4,keyasint,omitempty"`
	Haves   []wireHave  `cbor:"5,keyasint,omitempty"`
	Range   *wireRange  `cbor:"6,keyasint,omitempty"`
	Batches []agedData  `cbor:"7,keyasint,omitempty"`
}

// listed is a peer in a list.
type listed struct {
	_     struct{} `cbor:",toarray"`
	ID    []byte
	Addrs [][]byte
}

// wireHave is a head.
type wireHave struct {
	_         struct{} `cbor:",toarray"`
	Author    []byte
	Boot      uint64
	Low, High uint64
	Age       uint64 // milliseconds
	Urgent    bool
}

// wireRange is stretches of a run.
type wireRange struct {
	_         struct{} `cbor:",toarray"`
	Author    []byte
	Boot      uint64
	Intervals []uint64 // first and last number of each, ascending
}

func flatten(stretches []repair.Interval) (list []uint64) {
	for _, s := range stretches {
		list = append(list, s.First, s.Last)
	}
	return list
}

func (r *wireRange) run() repair.Run { return repair.Run{Author: string(r.Author), Boot: r.Boot} }

// intervals are the stretches up to the first that makes no sense.
func (r *wireRange) intervals() (list []repair.Interval) {
	var before uint64
	for i := 0; i+1 < len(r.Intervals); i += 2 {
		s := repair.Interval{First: r.Intervals[i], Last: r.Intervals[i+1]}
		if s.First <= before || s.First > s.Last {
			break
		}
		list, before = append(list, s), s.Last
	}
	return list
}

// agedData is a batch and how long ago it was sent.
type agedData struct {
	_    struct{} `cbor:",toarray"`
	Data []byte
	Age  uint64 // milliseconds
}

var controlDecoder = dcbor.Decoder(max(maxListed, repair.MaxHaves, repair.MaxServed, 2*repair.MaxIntervals), 8)

func decodeControl(body []byte) (controlMessage, error) {
	var msg controlMessage
	if err := controlDecoder.Unmarshal(body, &msg); err != nil {
		return msg, err
	}
	if len(msg.Peers) > maxListed {
		return msg, fmt.Errorf("list of %d peers", len(msg.Peers))
	}
	for _, l := range msg.Peers {
		if len(l.Addrs) > maxAddrs {
			return msg, fmt.Errorf("%d addresses for one peer", len(l.Addrs))
		}
	}
	return msg, nil
}

// send queues a message for the member. What finds no room is dropped: all of it
// is repeated or missed by nobody.
func (mb *member) send(msg controlMessage) {
	select {
	case mb.out <- msg:
	default:
	}
}

// writeControl writes what the member is told, on a stream that it opens when
// there is something to say and again when it broke.
func (m *Mesh) writeControl(mb *member) {
	var s network.Stream
	for {
		select {
		case <-mb.gone:
			if s != nil {
				s.Reset()
			}
			return
		case msg := <-mb.out:
			if err := m.writeControlMessage(&s, mb.id, msg); err != nil {
				m.log.Debug("link broke", "peer", mb.id, "err", err)
				if s != nil {
					s.Reset()
					s = nil
				}
			}
		}
	}
}

func (m *Mesh) writeControlMessage(s *network.Stream, p peer.ID, msg controlMessage) error {
	if *s == nil {
		ctx, cancel := context.WithTimeout(m.ctx, writeTimeout)
		defer cancel()
		var err error
		if *s, err = m.newStream(ctx, p, ControlProtocol); err != nil {
			*s = nil
			return err
		}
	}
	body, err := dcbor.Marshal(msg)
	if err != nil {
		return err
	}
	(*s).SetWriteDeadline(time.Now().Add(writeTimeout + time.Duration(len(body))*time.Second/slowControl))
	return frame.Write(*s, body)
}

// A controlReader reads a link and notes that something arrives. In the middle of a
// long message it says so to the member, which might otherwise take this peer for
// dead.
type controlReader struct {
	network.Stream
	mesh *Mesh
	mb   *member
	said time.Time
}

func (r *controlReader) Read(p []byte) (int, error) {
	n, err := r.Stream.Read(p)
	if n > 0 {
		r.mb.hear()
		now := time.Now()
		r.mesh.historyMu.Lock()
		r.mesh.history.Progress(now, string(r.mb.id))
		r.mesh.historyMu.Unlock()
		if now.Sub(r.said) > time.Second {
			if !r.said.IsZero() {
				r.mb.send(controlMessage{Kind: controlPong})
			}
			r.said = now
		}
	}
	return n, err
}

// handleControl reads what a member tells. A new stream takes the place of its
// former one.
func (m *Mesh) handleControl(s network.Stream) {
	mb := m.member(s.Conn().RemotePeer())
	if mb == nil {
		s.Reset()
		return
	}
	m.mu.Lock()
	former := mb.control
	mb.control = s
	m.mu.Unlock()
	if former != nil {
		m.refuse(former)
	}
	bytes := &controlReader{Stream: s, mesh: m, mb: mb}
	r := frame.NewReader(bytes, maxControl)
	for {
		bytes.said = time.Time{}
		body, err := r.Next()
		if errors.Is(err, frame.ErrTooLarge) {
			m.badFrame(mb.id, fmt.Errorf("link: %w", err))
		}
		if err != nil || m.count(mb.id, peerlimit.ControlFrame, 1) {
			break
		}
		msg, err := decodeControl(body)
		if err != nil {
			m.badFrame(mb.id, fmt.Errorf("link: %w", err))
			break
		}
		m.receive(mb, msg)
	}
	s.Reset()
}

func (m *Mesh) receive(mb *member, msg controlMessage) {
	switch msg.Kind {
	case controlPing:
		mb.send(controlMessage{Kind: controlPong, Nonce: msg.Nonce})
	case controlPong:
		if sent := time.Duration(msg.Nonce); sent > 0 && sent < time.Since(m.epoch) {
			mb.rtt.Store(int64(time.Since(m.epoch) - sent))
		}
	case controlWantPeers:
		mb.send(controlMessage{Kind: controlPeers, Nonce: msg.Nonce, Peers: m.listFor(mb.id, peer.ID(msg.Target))})
	case controlPeers:
		m.mu.Lock()
		answer := mb.lists[msg.Nonce]
		delete(mb.lists, msg.Nonce)
		m.mu.Unlock()
		if answer != nil {
			answer <- msg.Peers
		}
	case controlHave:
		m.handleHave(mb, msg.Haves)
	case controlFetch:
		m.handleFetch(mb, msg.Range)
	case controlBatches:
		m.handleBatches(mb, msg.Range, msg.Batches)
	case controlPush:
		m.handlePush(mb, msg.Batches)
	case controlAckQuery:
		m.handleAckQuery(mb, msg.Nonce, msg.Range)
	case controlAck:
		m.handleAck(mb.id, msg.Nonce)
	}
}

// listFor lists this peer's members for a member: the target first, if it is
// one or was remembered, then others.
func (m *Mesh) listFor(asker, target peer.ID) []listed {
	m.mu.Lock()
	ids := make([]peer.ID, 0, maxListed)
	_, known := m.addresses.peers[target]
	if m.members[target] != nil || known {
		ids = append(ids, target)
	}
	for p := range m.members {
		if len(ids) == maxListed {
			break
		}
		if p != asker && p != target {
			ids = append(ids, p)
		}
	}
	m.mu.Unlock()
	list := make([]listed, 0, len(ids))
	size := 0
	for _, p := range ids {
		l := listed{ID: []byte(p)}
		for _, a := range m.addrs(p) {
			if size += len(a.Bytes()); len(l.Addrs) == maxAddrs || size > maxAddrBytes {
				break
			}
			l.Addrs = append(l.Addrs, a.Bytes())
		}
		list = append(list, l)
	}
	return list
}

// askList asks a neighbour for its list, and for the target in particular.
func (m *Mesh) askList(ctx context.Context, p, target peer.ID) ([]peer.AddrInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	answer := make(chan []listed, 1)
	m.mu.Lock()
	mb := m.members[p]
	if mb == nil {
		m.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", p, ErrUnreachable)
	}
	nonce := rand.Uint64()
	mb.lists[nonce] = answer
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(mb.lists, nonce)
		m.mu.Unlock()
	}()
	mb.send(controlMessage{Kind: controlWantPeers, Nonce: nonce, Target: []byte(target)})
	select {
	case list := <-answer:
		return m.infos(list), nil
	case <-mb.gone:
		return nil, fmt.Errorf("%s: %w", p, ErrUnreachable)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s did not send its list: %w", p, ctx.Err())
	}
}

// infos reads a list, leaving out what is no peer ID or address, and this peer.
func (m *Mesh) infos(list []listed) []peer.AddrInfo {
	infos := make([]peer.AddrInfo, 0, len(list))
	for _, l := range list {
		p, err := peer.IDFromBytes(l.ID)
		if err != nil || p == m.id {
			continue
		}
		info := peer.AddrInfo{ID: p}
		for _, b := range l.Addrs {
			if a, err := ma.NewMultiaddrBytes(b); err == nil {
				info.Addrs = append(info.Addrs, a)
			}
		}
		infos = append(infos, info)
	}
	return infos
}
