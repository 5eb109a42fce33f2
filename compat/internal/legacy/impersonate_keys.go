package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// writeAs writes a key on behalf of an owner, or deletes it, at other nodes, and returns the
// time of that. On behalf of old nodes that is a second in which none of them has written:
// owners that travel as text have the even ones, so that py need not compare them with others.
// What was said before has a later time, or nobody would hear it: it has been overwritten;
// unless it was said so often that there is none left within the minute.
func (d *SyncMap) writeAs(now time.Time, key string, e Entry) (int64, error) {
	step := int64(1)
	if !IsGhost(e.Owner) && d.node.net.Version.Typed() {
		step = 2
		e.Time = now.Unix() + step
		if even := e.Time%2 == 0; even != e.OwnerText {
			e.Time++
		}
	}
	m := wire.New(d.node.net.Version, wire.Broadcast, wire.Store, []byte(key), e.Value)
	m.Sender, m.SenderBin, m.Time = e.Owner, !e.OwnerText, e.Time
	for {
		sent, err := d.node.sendAs(now, m, e.Owner)
		if sent || err != nil {
			return m.Time, err
		}
		if m.Time > now.Add(window).Unix() {
			d.node.Drop(DropOften)
			return m.Time, nil
		}
		m.Time += step
	}
}

// sendToOwner tells it to the owner that is not connected: nobody passes a broadcast on to whom
// it is from. A delete is not worth it, as the owner gives what it has to who connects.
func (d *SyncMap) sendToOwner(now time.Time, key string, e Entry) {
	if IsGhost(e.Owner) || d.node.members[e.Owner] != nil || Deletes(d.node.net.Version, e.Value) {
		return
	}
	if d.node.postbox.full() {
		d.node.Drop(DropNoWay)
		return
	}
	m := wire.New(d.node.net.Version, wire.Whisper, wire.Store, []byte(key), e.Value)
	m.Sender, m.SenderBin = e.Owner, !e.OwnerText
	d.node.postbox.add(parked{to: e.Owner, m: m, since: now})
}

// WouldAccept reports whether old nodes accept a write of an owner at some time, whenever it reaches them.
func (d *SyncMap) WouldAccept(now time.Time, key, owner string, at int64) bool {
	return d.acceptsLater(now, key, Entry{Owner: owner, Time: at})
}

// Mirror writes an entry at this node, for which it is no news, and at others on behalf of its owner. It visits the
// owner if that had something to lose. Error: ErrChanged if the key has been written since it was as it was.
func (d *SyncMap) Mirror(now time.Time, key string, was, e Entry) (Effects, error) {
	if !d.entries[key].is(was) {
		return Effects{}, ErrChanged
	}
	_, held := d.entries[key]
	err := d.mirror(now, key, e)
	if err == nil && held {
		d.sendToOwner(now, key, e)
	}
	return d.node.take(), err
}

// Overwrite mirrors an entry whatever the key was.
func (d *SyncMap) Overwrite(now time.Time, key string, e Entry) (Effects, error) {
	err := d.mirror(now, key, e)
	return d.node.take(), err
}

func (d *SyncMap) mirror(now time.Time, key string, e Entry) error {
	at, err := d.writeAs(now, key, e)
	if err == nil {
		e.Time = at
		d.store(key, e)
	}
	return err
}

// Repeat writes an entry at other nodes only, on behalf of its owner, and visits that.
func (d *SyncMap) Repeat(now time.Time, key string, e Entry) (Effects, error) {
	_, err := d.writeAs(now, key, e)
	d.sendToOwner(now, key, e)
	return d.node.take(), err
}

// GhostKeys returns the keys that came over a bridge, in no order.
func (d *SyncMap) GhostKeys() (keys []string) {
	for key, e := range d.entries {
		if IsGhost(e.Owner) {
			keys = append(keys, key)
		}
	}
	return keys
}
