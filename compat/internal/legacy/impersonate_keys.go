package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// writeAs writes or deletes a key at other nodes on behalf of its owner, and returns the time of the write.
//
// On behalf of an old node, that is a second in which no old node writes: even for owners that travel as text, odd for
// others. py need not compare the owners of equal times then. A write that was sent before gets a later time, or old
// nodes would drop it. If there is none left within a minute, the write is dropped.
func (d *SyncMap) writeAs(now time.Time, key string, e Entry) (int64, error) {
	step := int64(1)
	if !IsGhost(e.Owner) && d.version.Typed() {
		step = 2
		e.Time = now.Unix() + step
		if even := e.Time%2 == 0; even != e.OwnerText {
			e.Time++
		}
	}
	m := wire.New(d.version, wire.Broadcast, wire.Store, []byte(key), e.Value)
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

// sendToOwner sends an entry to its owner, if that is not connected: no node passes a broadcast on to its own sender.
// A delete is not sent, since the owner tells what it holds to any node that connects.
func (d *SyncMap) sendToOwner(now time.Time, key string, e Entry) {
	if IsGhost(e.Owner) || d.node.members[e.Owner] != nil || Deletes(d.version, e.Value) {
		return
	}
	if d.node.postbox.full() {
		d.node.Drop(DropNoWay)
		return
	}
	m := wire.New(d.version, wire.Whisper, wire.Store, []byte(key), e.Value)
	m.Sender, m.SenderBin = e.Owner, !e.OwnerText
	d.node.postbox.add(parked{to: e.Owner, m: m, since: now})
}

// WouldAccept reports whether old nodes accept a write of an owner at some time, whenever it reaches them.
func (d *SyncMap) WouldAccept(now time.Time, key, owner string, at int64) bool {
	return d.acceptsLater(now, key, Entry{Owner: owner, Time: at})
}

// Mirror writes an entry at this node, without a Change, and at others on behalf of its owner. If the key is held, the
// entry is sent to its owner, too. Errors: ErrChanged if the entry is no longer was, and those of encoding.
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

// Overwrite does what Mirror does, whatever the key holds, but does not send the entry to its owner.
func (d *SyncMap) Overwrite(now time.Time, key string, e Entry) (Effects, error) {
	err := d.mirror(now, key, e)
	return d.node.take(), err
}

// mirror writes an entry at other nodes, and stores it here with the time that it has got.
func (d *SyncMap) mirror(now time.Time, key string, e Entry) error {
	at, err := d.writeAs(now, key, e)
	if err == nil {
		e.Time = at
		d.store(key, e)
	}
	return err
}

// Repeat writes an entry at other nodes only, on behalf of its owner. Errors: those of encoding.
func (d *SyncMap) Repeat(now time.Time, key string, e Entry) (Effects, error) {
	_, err := d.writeAs(now, key, e)
	d.sendToOwner(now, key, e)
	return d.node.take(), err
}

// GhostKeys returns the keys that ghosts own, in no order.
func (d *SyncMap) GhostKeys() (keys []string) {
	for key, e := range d.entries {
		if IsGhost(e.Owner) {
			keys = append(keys, key)
		}
	}
	return keys
}
