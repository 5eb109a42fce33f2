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
		value       any // nil for a delta
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
// tells messages apart that say the same within a second; where there is no room for one
// the second gets a later time.
func (c *citizen) carry(now time.Time, sender string, at int64, tag string, args []any) (sent bool, err error) {
	m := wire.New(c.version, wire.Broadcast, wire.Broadcast, args...)
	m.Sender, m.Time, m.Aligned, m.Tail = sender, at, true, []byte(tag)
	for {
		if m.Body, err = wire.Encode(m); err != nil {
			return false, err
		}
		if c.seen.Add(now, m.ID) {
			break
		}
		if c.carried[m.ID] == tag || c.carried[m.ID] == "" || m.Time > at+int64(window.Seconds()) {
			return false, nil // another bridge was first, or others have said the same
		}
		m.Time++
	}
	if !c.version.Typed() {
		if len(c.carried) >= maxSeen {
			clear(c.carried)
		}
		c.carried[m.ID] = tag
	}
	for _, s := range c.sessions() {
		s.send(now, m)
	}
	return true, nil
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

// mirror writes a key on behalf of an owner, or deletes it, at this node as well.
func (d *dictionary) mirror(now time.Time, key string, value any, owner string, at int64) error {
	m := wire.New(d.c.version, wire.Broadcast, wire.Store, []byte(key), value)
	m.Sender, m.Time, m.Aligned = owner, at, true
	body, err := wire.Encode(m)
	if err != nil {
		return err
	}
	m.Body = body
	if d.c.seen.Add(now, m.ID) {
		for _, s := range d.c.sessions() {
			s.send(now, m)
		}
	}
	d.put(key, entry{value, owner, true, at})
	return nil
}

// tagOf is what tells a message from others that say the same.
func tagOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return string(sum[:8])
}
