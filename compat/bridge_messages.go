package compat

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2p-today/go2p/mesh"
)

const (
	deferTime   = time.Second      // that others wait for the elected bridge to send a message
	authorFor   = 10 * time.Minute // that an author who has said nothing gets replies
	maxAuthors  = 16
	personaTime = 2 * time.Second // for its connections, before the first message of an author goes out
	personaWait = 10 * time.Second
	carryTime   = 10 * time.Second
)

// took takes a message of the old network.
func (l *link) took(m Message) {
	l.meet(m.From)
	if marked(m.From) {
		return
	}
	if m.Kind == KindWhisper {
		l.dropped.drop(DropReceiver) // to the bridge itself
		return
	}
	select {
	case l.messages <- m:
	default:
		l.dropped.drop(DropFull)
	}
}

// bringMessages carries messages of the old network into the native one.
func (l *link) bringMessages() {
	for {
		select {
		case <-l.ctx.Done():
			return
		case m := <-l.messages:
			if _, err := l.b.mesh.Relay(l.ctx, l.carried(m), m.Packets...); err != nil {
				l.fail(err)
			} else {
				l.in.Add(1)
			}
		}
	}
}

// carried is where a message is from.
func (l *link) carried(m Message) mesh.Relayed {
	return mesh.Relayed{Origin: originOf(l.opts.Subnet, m.From), ID: l.id + "/" + m.ID, Time: m.Time}
}

// fail counts what the native side has not taken.
func (l *link) fail(err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.b.log.Info("the native side refuses", "link", l.name, "err", err)
	if errors.Is(err, mesh.ErrTooLarge) || errors.Is(err, mesh.ErrOrigin) {
		l.dropped.drop(DropOldOnes)
	} else {
		l.dropped.drop(DropNative)
	}
}

// observe takes a native broadcast.
func (b *Bridge) observe(msg mesh.Message) {
	if subnet, _, ok := splitOrigin(msg.Origin); ok && msg.From != b.mesh.ID() {
		b.mu.Lock()
		if len(b.carriers) >= maxCarriers {
			clear(b.carriers)
		}
		b.carriers[subnet] = msg.From
		b.mu.Unlock()
	}
	for _, l := range b.all() {
		if msg.Origin != "" && len(msg.OriginID) > len(l.id) && msg.OriginID[:len(l.id)+1] == l.id+"/" {
			continue // it is from there
		}
		select {
		case l.sends <- outgoing{msg, time.Now()}:
		default:
			l.dropped.drop(DropFull)
		}
	}
}

// author is who has sent a message.
func author(msg mesh.Message) string {
	if msg.Origin != "" {
		return msg.Origin
	}
	return msg.From.String()
}

// sendMessages carries native messages into the old network. All bridges send the same, and
// old nodes drop what comes twice; those that are not elected wait, and send what they have
// not heard by then.
func (l *link) sendMessages() {
	for {
		select {
		case <-l.ctx.Done():
			return
		case item := <-l.sends:
			if l.elected() {
				l.listenAs(author(item.msg))
			} else if !l.sleep(time.Until(item.at.Add(deferTime))) {
				return
			}
			l.send(item.msg)
		}
	}
}

func (l *link) send(msg mesh.Message) {
	if len(l.node.Peers()) == 0 {
		l.dropped.drop(DropReceiver)
		return
	}
	args, err := fromGo(l.node.c.version, msg.Packets)
	if err != nil {
		l.dropped.drop(DropValue)
		return
	}
	at := msg.Time.Unix()
	if t := recently(time.Now(), at); t != at {
		if !l.elected() { // each would give it another time
			return
		}
		at = t
	}
	if l.node.room(l.ctx) != nil {
		return
	}
	sent := false
	err = l.node.do(func(now time.Time) (err error) {
		sent, err = l.node.c.carry(now, derive(author(msg), l.id), at, tagOf(msg.ID), args)
		return err
	})
	switch {
	case errors.Is(err, ErrClosed):
	case err != nil:
		l.dropped.drop(DropEncoding)
	case sent:
		l.out.Add(1)
	}
}

// An answerTo is a whisper to an old node.
type answerTo struct {
	from, to string
	packets  []any
}

// answered takes whispers that are for old nodes.
func (b *Bridge) answered(_ context.Context, msg mesh.Message) bool {
	if _, _, ok := splitOrigin(msg.To); !ok {
		return false
	}
	if err := b.whisper(author(msg), msg.To, msg.Packets); err != nil {
		b.log.Info("cannot deliver", "to", msg.To, "from", msg.From, "err", err)
	}
	return true
}

// Whisper whispers to an old node, legacy:<subnet>/<id>, on behalf of this peer, over a
// link of this bridge or over another bridge that was heard to carry from that subnet.
// Nobody tells whether it arrives. Errors: ErrNoBridge, ErrValue, ErrFull, and those of
// the mesh.
func (b *Bridge) Whisper(ctx context.Context, to string, packets ...any) error {
	err := b.whisper(b.mesh.ID().String(), to, packets)
	if !errors.Is(err, ErrNoBridge) {
		return err
	}
	subnet, _, _ := splitOrigin(to)
	b.mu.Lock()
	carrier, known := b.carriers[subnet]
	b.mu.Unlock()
	if !known {
		return err
	}
	return b.mesh.Reply(ctx, mesh.Message{From: carrier, Origin: to}, packets...)
}

// whisper whispers to an old node over a link.
func (b *Bridge) whisper(from, to string, packets []any) error {
	subnet, id, _ := splitOrigin(to)
	l := b.linkTo(subnet, id)
	if l == nil {
		return ErrNoBridge
	}
	if _, err := fromGo(l.node.c.version, packets); err != nil {
		l.dropped.drop(DropValue)
		return err
	}
	select {
	case l.answers <- answerTo{from, id, packets}:
		return nil
	default:
		l.dropped.drop(DropFull)
		return ErrFull
	}
}

// linkTo is the link by which an old node is likely to be reached.
func (b *Bridge) linkTo(subnet, id string) (best *link) {
	for _, l := range b.all() {
		switch {
		case l.opts.Subnet != subnet:
		case l.isResident(id):
			return l
		case best == nil:
			best = l
		}
	}
	return best
}

// sendAnswers whispers to old nodes, under the derived ID of who does.
func (l *link) sendAnswers() {
	for {
		select {
		case <-l.ctx.Done():
			return
		case a := <-l.answers:
			args, err := fromGo(l.node.c.version, a.packets)
			if err == nil {
				err = l.node.room(l.ctx)
			}
			if l.elected() {
				l.listenAs(a.from) // for what comes back
			}
			if err == nil {
				err = l.node.do(func(now time.Time) error {
					return l.node.c.whisperAs(now, derive(a.from, l.id), a.to, args)
				})
			}
			if err != nil && l.ctx.Err() == nil {
				l.b.log.Info("cannot deliver", "link", l.name, "to", a.to, "err", err)
				l.dropped.drop(DropReceiver)
			} else {
				l.out.Add(1)
			}
		}
	}
}

// A persona is a node under the derived ID of an author, which old nodes reply to. It says
// nothing and passes nothing on.
type persona struct {
	node   *Node
	author string
	heard  time.Time // the author
}

// listenAs has old nodes reply to an author from now on. For a new one it waits until they
// can, or a while.
func (l *link) listenAs(author string) {
	now := time.Now()
	l.mu.Lock()
	p := l.personas[author]
	var idle *persona
	if p != nil {
		p.heard = now
	} else {
		for _, other := range l.personas {
			if now.Sub(other.heard) > authorFor && (idle == nil || other.heard.Before(idle.heard)) {
				idle = other
			}
		}
		if idle != nil {
			delete(l.personas, idle.author)
		}
	}
	full := len(l.personas) >= maxAuthors
	l.mu.Unlock()
	switch {
	case idle != nil:
		l.wg.Go(func() { idle.node.Close() })
	case p == nil && full:
		l.dropped.drop(DropAuthors)
	}
	if p != nil || full {
		return
	}
	opts := l.opts
	opts.Listen, opts.Advertise, opts.Autodial, opts.persona = "", "", false, derive(author, l.id)
	opts.tap = func(ev any) {
		m, ok := ev.(Message)
		if !ok || m.Kind != KindWhisper || marked(m.From) {
			return
		}
		select {
		case l.replies <- reply{author, m}:
		default:
			l.dropped.drop(DropFull)
		}
	}
	n, err := Open(l.ctx, opts)
	if err != nil {
		l.b.log.Warn("no replies to an author", "author", author, "err", err)
		return
	}
	p = &persona{n, author, now}
	l.mu.Lock()
	l.personas[author] = p
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(l.ctx, personaTime)
	defer cancel()
	l.tend(ctx, p)
}

// tend connects a persona to all old nodes that this one is connected with and that listen.
func (l *link) tend(ctx context.Context, p *persona) {
	has := map[string]bool{}
	for _, other := range p.node.Peers() {
		has[other.ID] = true
	}
	done := make(chan struct{})
	dials := 0
	for _, other := range l.node.Peers() {
		key := p.author + " " + other.Addr
		l.mu.Lock()
		waits := time.Since(l.failed[key]) < personaWait
		if !waits && !has[other.ID] && other.Addr != "" {
			l.failed[key] = time.Now() // until it has worked, and for when it is lost
			dials++
			l.wg.Go(func() {
				if _, err := p.node.dialAndGreet(l.ctx, other.Addr); err != nil {
					l.b.log.Info("no replies from an old node", "link", l.name, "addr", other.Addr, "err", err)
				}
				select {
				case done <- struct{}{}:
				case <-ctx.Done():
				}
			})
		}
		l.mu.Unlock()
	}
	for range dials {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// tendPersonas keeps personas connected while this bridge is elected, and their authors say
// something.
func (l *link) tendPersonas() {
	elected, now := l.elected(), time.Now()
	var keep, end []*persona
	l.mu.Lock()
	for author, p := range l.personas {
		if !elected || now.Sub(p.heard) > authorFor {
			delete(l.personas, author)
			end = append(end, p)
		} else {
			keep = append(keep, p)
		}
	}
	for key, at := range l.failed {
		if now.Sub(at) > personaWait {
			delete(l.failed, key)
		}
	}
	l.mu.Unlock()
	closeAll(end)
	ctx, cancel := context.WithCancel(l.ctx)
	cancel() // it need not wait
	for _, p := range keep {
		l.tend(ctx, p)
	}
}

// closeAll closes personas, each of which may have to wait for others.
func closeAll(list []*persona) {
	var wg sync.WaitGroup
	for _, p := range list {
		wg.Go(func() { p.node.Close() })
	}
	wg.Wait()
}

// A reply is a whisper of an old node to an author.
type reply struct {
	author string
	m      Message
}

// bringReplies carries whispers of old nodes to the authors that they are for.
func (l *link) bringReplies() {
	for {
		select {
		case <-l.ctx.Done():
			return
		case r := <-l.replies:
			if err := l.bringReply(r); err != nil {
				l.fail(err)
			} else {
				l.in.Add(1)
			}
		}
	}
}

func (l *link) bringReply(r reply) error {
	if _, _, ok := splitOrigin(r.author); ok {
		return l.b.whisper(originOf(l.opts.Subnet, r.m.From), r.author, r.m.Packets)
	}
	to, err := peer.Decode(r.author)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.ctx, carryTime)
	defer cancel()
	return l.b.mesh.RelayTo(ctx, to, l.carried(r.m), r.m.Packets...)
}
