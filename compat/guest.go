package compat

// CORE: what a node says on behalf of others, for a bridge.

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// What a bridge is told of, beside messages, changes and events.
type (
	// contest is a write that this node has not taken, since somebody else has the key. Who
	// has written it thinks otherwise.
	contest struct {
		key, sender string
		text        bool // the sender travels as text
		value       any  // nil for a delta
		time        int64
	}
	// notice says that a key of the table was written, or deleted.
	notice struct {
		key  string
		gone bool
	}
	// presence says that there is another bridge.
	presence struct{ tag, bridge string }
)

// carry broadcasts a message on behalf of a sender, and tells whether it is news. A tag
// tells messages apart that say the same within a second.
func (c *citizen) carry(now time.Time, sender string, at int64, tag string, args []any) (sent bool, err error) {
	m := wire.New(c.version, wire.Broadcast, wire.Broadcast, args...)
	m.Sender, m.Time, m.Tail = sender, at, []byte(tag)
	return c.spread(now, m, sender+tag)
}

// spread sends a broadcast on behalf of its sender, and tells whether it is news. In 0.4
// and 0.5 others may have the same ID: then it gets a later time.
func (c *citizen) spread(now time.Time, m *wire.Message, tag string) (sent bool, err error) {
	m.Aligned = true
	for first := m.Time; ; m.Time++ {
		if m.Body, err = wire.Encode(m); err != nil {
			return false, err
		}
		if c.seen.Add(now, m.ID) {
			break
		}
		before := c.senders[m.ID]
		if m.Version.Typed() || before == m.Sender || before == tag || m.Time > first+int64(window.Seconds()) {
			return false, nil // another bridge was first
		}
	}
	c.sentBy(m, tag)
	for _, s := range c.sessions() {
		s.send(now, m)
	}
	return true, nil
}

// sentBy notes who has sent a broadcast, where IDs do not tell.
func (c *citizen) sentBy(m *wire.Message, sender string) {
	if m.Version.Typed() {
		return
	}
	if len(c.senders) >= maxSeen {
		clear(c.senders)
	}
	c.senders[m.ID] = sender
}

// whisperAs whispers on behalf of a sender.
func (c *citizen) whisperAs(now time.Time, sender, to string, args []any) error {
	m := wire.New(c.version, wire.Whisper, wire.Whisper, args...)
	m.Sender = sender
	return c.whisper(now, to, m)
}

// present tells other bridges of this one: by a broadcast that says nothing to old nodes.
func (c *citizen) present(now time.Time, p presence) {
	if t, ok := c.ext.(*spread); ok && t.narrow() {
		return
	}
	if _, err := c.broadcast(now, wire.Ping, c.text(mark), c.text(p.tag), c.text(p.bridge)); err != nil {
		c.drop(DropEncoding)
	}
}

// heardBridge takes the presence of another bridge.
func (c *citizen) heardBridge(m *wire.Message) {
	args := m.Args()
	if len(args) != 3 {
		return
	}
	name, _ := wire.Text(args[0])
	tag, _ := wire.Text(args[1])
	bridge, ok := wire.Text(args[2])
	if ok && name == mark && len(bridge) <= idLength {
		c.tell(presence{tag, bridge})
	}
}

// say writes a key on behalf of an owner, or deletes it, at other nodes, and returns the
// time of that. On behalf of old nodes that is a second in which none of them has written:
// owners that travel as text have the even ones, so that py need not compare them with others.
// What was said before has a later time, or nobody would hear it: it has been overwritten;
// unless it was said so often that there is none left within the minute.
func (d *dictionary) say(now time.Time, key string, e entry) (int64, error) {
	step := int64(1)
	if !marked(e.owner) && d.c.version.Typed() {
		step = 2
		e.time = now.Unix() + step
		if even := e.time%2 == 0; even != e.ownerText {
			e.time++
		}
	}
	m := wire.New(d.c.version, wire.Broadcast, wire.Store, []byte(key), e.value)
	m.Sender, m.SenderBin, m.Time = e.owner, !e.ownerText, e.time
	for {
		sent, err := d.c.spread(now, m, e.owner)
		if sent || err != nil {
			return m.Time, err
		}
		if m.Time > now.Add(window).Unix() {
			d.c.drop(DropOften)
			return m.Time, nil
		}
		m.Time += step
	}
}

// quietTime is how long an old node that has just written is not dialled: py fails if it
// writes while it tells one that has connected all that it has, and may lose others for it.
const quietTime = 2 * time.Second

// visit tells it to the owner that is not connected: nobody passes a broadcast on to whom
// it is from. A delete is not worth it, as the owner gives what it has to who connects.
func (d *dictionary) visit(now time.Time, key string, e entry) {
	if marked(e.owner) || d.c.table[e.owner] != nil || d.deletes(e.value) {
		return
	}
	if len(d.c.requests) >= maxRequests {
		d.c.drop(DropNoWay)
		return
	}
	m := wire.New(d.c.version, wire.Whisper, wire.Store, []byte(key), e.value)
	m.Sender, m.SenderBin = e.owner, !e.ownerText
	d.c.requests = append(d.c.requests, request{wanted: e.owner, m: m, since: now})
}

// errChanged says that a decision is out of date.
var errChanged = errors.New("changed")

// mirror does so at this node, too, which is no news; unless somebody has written the key
// since it was as it was.
func (d *dictionary) mirror(now time.Time, key string, was, e entry) error {
	if !d.entries[key].is(was) {
		return errChanged
	}
	at, err := d.say(now, key, e)
	if err == nil {
		e.time = at
		d.keep(key, e)
	}
	return err
}

// borrowed are the keys that came over a bridge.
func (d *dictionary) borrowed() (keys []string) {
	for key, e := range d.entries {
		if marked(e.owner) {
			keys = append(keys, key)
		}
	}
	return keys
}

// tagOf is what tells a message from others that say the same.
func tagOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return string(sum[:8])
}
