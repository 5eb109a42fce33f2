package compat

// CORE: what a node says on behalf of others, for a bridge.

import (
	"crypto/sha256"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// What a bridge is told of, beside messages, changes and events.
type (
	// contest is a write that this node has not taken, since the key is leased by somebody
	// from elsewhere. Who has written it thinks otherwise.
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
	return c.whisper(now, request{sender: sender, wanted: to, packets: args})
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
// time of that. py tells owners that travel as text from those that do as bytes, and
// closes if it has to compare them.
func (d *dictionary) say(now time.Time, key string, e entry) (int64, error) {
	m := wire.New(d.c.version, wire.Broadcast, wire.Store, []byte(key), e.value)
	m.Sender, m.SenderBin, m.Time = e.owner, !e.ownerText, e.time
	_, err := d.c.spread(now, m, e.owner)
	return m.Time, err
}

// mirror does so at this node, too.
func (d *dictionary) mirror(now time.Time, key string, e entry) error {
	at, err := d.say(now, key, e)
	if err == nil {
		e.time = at
		d.put(key, e)
	}
	return err
}

// tagOf is what tells a message from others that say the same.
func tagOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return string(sum[:8])
}
