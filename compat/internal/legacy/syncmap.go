package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	maxEntries   = 1 << 20
	maxDictBytes = 256 << 20
)

// A SyncMap is the dictionary that the nodes of a sync network share, by the rules of their version. It extends a Node,
// and is serialized with it.
type SyncMap struct {
	plain
	node    *Node
	leasing bool
	entries map[string]Entry
	bytes   int
}

// NewSyncMap makes a node of a sync network.
func NewSyncMap(cfg Config) (*Node, *SyncMap) {
	n := NewNode(cfg)
	d := &SyncMap{node: n, leasing: !cfg.NoLeasing, entries: map[string]Entry{}}
	n.extend(d)
	return n, d
}

// An Entry is a key's value and the node that owns the key.
type Entry struct {
	Value     any // as it travels
	Owner     string
	OwnerText bool // the owner travels as text, as from js; py tells it from bytes
	Time      int64
}

// is tells whether two are the same.
func (e Entry) is(b Entry) bool {
	return e.Owner == b.Owner && e.Time == b.Time && SameValue(e.Value, b.Value)
}

func (e Entry) size() int { return 64 + len(e.Owner) + weight(e.Value) }

// Deletes reports whether a value, as it travels, says that its key is gone.
func Deletes(v wire.Version, value any) bool {
	switch v {
	case wire.V7:
		return value == nil
	case wire.V6:
		b, isBytes := value.([]byte)
		return isBytes && len(b) == 0
	}
	b, _ := value.([]byte)
	return len(b) == 0
}

// DeleteValue returns the value that deletes a key.
func DeleteValue(v wire.Version) any {
	if v == wire.V7 {
		return nil
	}
	return []byte{}
}

// enter gives a node that has come all that there is.
func (d *SyncMap) enter(_ time.Time, s *Session) { s.backlog = sortedKeys(d.entries) }

func (d *SyncMap) introduce(now time.Time, s *Session, key string) {
	e, held := d.entries[key]
	if !held {
		return // it is gone again
	}
	var owner, when any = []byte(e.Owner), []byte(wire.TimeText(e.Time))
	switch {
	case d.node.net.Version == wire.V7:
		when = e.Time
	case d.node.net.Version == wire.V6 && s.peer.Language != wire.Python:
		when = wire.TimeText(e.Time)
	}
	if d.node.net.Version.Typed() && e.OwnerText {
		owner = e.Owner
	}
	d.node.send(now, s, wire.Whisper, wire.Store, []byte(key), e.Value, owner, when)
}

// validate tells whether a store or delta is one that no node closes on, whatever it has.
func (d *SyncMap) validate(m *wire.Message, flooded bool) (ok, mine bool) {
	args := m.Args()
	switch m.Sub() {
	case wire.Store:
		if len(args) == 0 {
			return false, true
		}
		if _, ok := wire.Text(args[0]); !ok {
			return false, true
		}
		if len(args) == 4 {
			_, _, ok := d.snapshot(args)
			return ok && !flooded, true
		}
		return len(args) == 2, true
	case wire.Delta:
		if len(args) != 2 {
			return false, true
		}
		_, isKey := wire.Text(args[0])
		_, isMap := args[1].(wire.Map)
		return isKey && isMap, true
	}
	return false, false
}

// snapshot reads an entry that is told to a node that has come.
func (d *SyncMap) snapshot(args []any) (key string, e Entry, ok bool) {
	key, _ = wire.Text(args[0])
	e.Value = args[1]
	if e.Owner, ok = wire.Text(args[2]); !ok {
		return
	}
	_, e.OwnerText = args[2].(string)
	if e.Time, ok = wire.Int(args[3]); ok {
		return key, e, e.Time > 0
	}
	text, ok := wire.Text(args[3])
	if !ok {
		return
	}
	var err error
	e.Time, err = wire.ParseTime(text)
	return key, e, err == nil
}

// refuses withholds a delete from whom it would end: py has to have the key, and js of 0.7
// takes none. Nor does py survive a delta for what is no map, or a write of the same second
// as what is there if one is of py and the other of js: it compares the owners.
func (d *SyncMap) refuses(s *Session, m *wire.Message) Drop {
	args := m.Args()
	if len(args) < 2 {
		return 0
	}
	key, _ := wire.Text(args[0])
	e, held := d.entries[key]
	_, isMap := e.Value.(wire.Map)
	short := len(args) == 2 && (m.Sub() == wire.Store || m.Sub() == wire.Delta)
	switch sub := m.Sub(); {
	case sub == wire.Delta && held && !isMap:
		return DropDelta
	case short && held && d.node.net.Version.Typed() && s.peer.Language == wire.Python && e.Time == m.Time && e.OwnerText == m.SenderBin:
		return DropContest
	case sub != wire.Store || !Deletes(d.node.net.Version, args[1]):
	case d.node.net.Version == wire.V7 && s.peer.Language == wire.JavaScript:
		return DropDelete
	case s.peer.Language == wire.Python && !s.knows[key]:
		return DropDelete
	}
	return 0
}

// note follows which keys a node has, from what it tells or is told.
func (d *SyncMap) note(s *Session, m *wire.Message) {
	args := m.Args()
	if m.Sub() != wire.Store && m.Sub() != wire.Delta || len(args) < 2 {
		return
	}
	key, _ := wire.Text(args[0])
	if m.Sub() == wire.Store && Deletes(d.node.net.Version, args[1]) {
		delete(s.knows, key)
	} else if len(s.knows) < MaxKnown {
		s.knows[key] = true
	}
}

// handle takes what another node says of the dictionary.
func (d *SyncMap) handle(now time.Time, s *Session, m *wire.Message) bool {
	args := m.Args()
	switch sub := m.Sub(); {
	case sub == wire.Store && len(args) == 4:
		d.note(s, m)
		key, e, _ := d.snapshot(args)
		switch old, held := d.entries[key]; {
		case (!held || falsy(old.Value)) && !Deletes(d.node.net.Version, e.Value) && d.accepts(now, key, e, false):
			d.put(key, e)
		case held && e.Owner != old.Owner && !SameValue(e.Value, old.Value):
			d.lost(key, e)
		}
	case sub == wire.Store:
		d.note(s, m)
		key, _ := wire.Text(args[0])
		e := Entry{Value: args[1], Owner: m.Sender, OwnerText: !m.SenderBin, Time: m.Time}
		if d.accepts(now, key, e, false) {
			d.put(key, e)
		} else {
			d.lost(key, e)
		}
	case sub == wire.Delta:
		d.note(s, m)
		key, _ := wire.Text(args[0])
		if e := (Entry{Owner: m.Sender, OwnerText: !m.SenderBin, Time: m.Time}); !d.merge(now, key, args[1].(wire.Map), e) {
			d.lost(key, e)
		}
	default:
		return false
	}
	return true
}

// lost tells of a write that was not accepted.
func (d *SyncMap) lost(key string, e Entry) {
	if !IsGhost(e.Owner) {
		d.node.out.Conflicts = append(d.node.out.Conflicts, WriteConflict{Key: key, Sender: e.Owner, SenderText: e.OwnerText, Value: ToGo(e.Value), Time: e.Time})
	}
}

// falsy tells whether py takes a value for nothing.
func falsy(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case int64:
		return v == 0
	case float64:
		return v == 0
	case string:
		return v == ""
	case []byte:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case wire.Map:
		return len(v) == 0
	}
	return false
}

// put stores an entry, or removes it if it says so, and tells of it.
func (d *SyncMap) put(key string, e Entry) {
	if !d.keep(key, e) {
		return
	}
	c := Change{Key: key, Owner: e.Owner, Time: time.Unix(e.Time, 0).UTC(), Deleted: Deletes(d.node.net.Version, e.Value)}
	if !c.Deleted {
		c.Value = ToGo(e.Value)
	}
	d.node.out.Changes = append(d.node.out.Changes, c)
}

// keep does so, and tells whether that is a change.
func (d *SyncMap) keep(key string, e Entry) bool {
	old, held := d.entries[key]
	if Deletes(d.node.net.Version, e.Value) {
		if held {
			d.bytes -= len(key) + old.size()
			delete(d.entries, key)
		}
		return held
	}
	size := len(key) + e.size()
	if held {
		size -= len(key) + old.size()
	} else if len(d.entries) >= maxEntries {
		d.node.Drop(DropFull)
		return false
	}
	if d.bytes+size > maxDictBytes {
		d.node.Drop(DropFull)
		return false
	}
	d.bytes += size
	d.entries[key] = e
	return true
}

// Write has this node write a key, or delete it if the value says so. Errors: a *LeaseError, ErrTooLarge.
func (d *SyncMap) Write(now time.Time, key string, value any) (Effects, error) {
	err := d.write(now, key, value)
	return d.node.take(), err
}

func (d *SyncMap) write(now time.Time, key string, value any) error {
	if err := d.mine(now, key, false); err != nil {
		return err
	}
	m, err := d.node.broadcast(d.after(now, key), wire.Store, []byte(key), value)
	if err != nil {
		return err
	}
	d.put(key, Entry{Value: value, Owner: d.node.id, OwnerText: true, Time: m.Time})
	return nil
}

// Delete has this node delete a key. Errors: ErrNotFound, and those of Write.
func (d *SyncMap) Delete(now time.Time, key string) (Effects, error) {
	if _, held := d.entries[key]; !held {
		return Effects{}, ErrNotFound
	}
	return d.Write(now, key, DeleteValue(d.node.net.Version))
}

// Entry returns what the node holds under a key, and whether there is anything.
func (d *SyncMap) Entry(key string) (e Entry, held bool) {
	e, held = d.entries[key]
	return e, held
}

// Keys returns the keys, in order.
func (d *SyncMap) Keys() []string { return sortedKeys(d.entries) }
