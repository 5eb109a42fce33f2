package compat

// CORE: the dictionary that sync nodes share, by the rules of their version.

import (
	"slices"
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const (
	lease        = time.Hour
	maxEntries   = 1 << 20
	maxDictBytes = 256 << 20
)

// A dictionary is what a sync node holds.
type dictionary struct {
	c       *citizen
	leasing bool
	entries map[string]entry
	bytes   int
}

// An entry is a key's value and whose it is.
type entry struct {
	value     any
	owner     string
	ownerText bool // the owner travels as text, as from js; py tells it from bytes
	time      int64
}

// is tells whether two are the same.
func (e entry) is(b entry) bool {
	return e.owner == b.owner && e.time == b.time && sameValue(e.value, b.value)
}

func (e entry) size() int { return 64 + len(e.owner) + weight(e.value) }

// weight is about what a value takes in memory.
func weight(v any) int {
	switch v := v.(type) {
	case string:
		return 16 + len(v)
	case []byte:
		return 24 + len(v)
	case wire.Ext:
		return 24 + len(v)
	case []any:
		n := 24
		for _, item := range v {
			n += weight(item)
		}
		return n
	case wire.Map:
		n := 24
		for _, p := range v {
			n += weight(p.Key) + weight(p.Value)
		}
		return n
	}
	return 16
}

// accepts tells whether an entry takes the place of what is there: the rule that all
// nodes of a version apply, each by its own clock.
func (d *dictionary) accepts(now time.Time, key string, b entry, delta bool) bool {
	a, held := d.entries[key]
	switch {
	case !held, a.owner == b.owner:
		return true
	case a.time < now.Add(-lease).Unix():
		return true
	case a.time == b.time && a.owner > b.owner:
		return true
	case d.c.version == wire.V4:
		return !d.leasing || a.time > b.time // an older one wins, which is how 0.4 is
	default:
		return !d.leasing && (delta || a.time < b.time)
	}
}

// surely tells whether old nodes accept an entry also if it does not come at the same time
// as what is there, where that decides: js of 0.5 does not take it then, and a message
// gets another time if others have said the same.
func (d *dictionary) surely(now time.Time, key string, b entry) bool {
	later := b
	later.time = max(b.time, d.entries[key].time+1)
	return d.accepts(now, key, b, false) && d.accepts(now, key, later, false)
}

// deletes tells whether a value says that the key is gone.
func (d *dictionary) deletes(value any) bool {
	switch d.c.version {
	case wire.V7:
		return value == nil
	case wire.V6:
		b, isBytes := value.([]byte)
		return isBytes && len(b) == 0
	}
	b, _ := value.([]byte)
	return len(b) == 0
}

// gone is the value that deletes a key.
func (d *dictionary) gone() any {
	if d.c.version == wire.V7 {
		return nil
	}
	return []byte{}
}

// enter gives a node that has come all that there is.
func (d *dictionary) enter(_ time.Time, s *session) { s.backlog = sortedKeys(d.entries) }

func (d *dictionary) introduce(now time.Time, s *session, key string) {
	e, held := d.entries[key]
	if !held {
		return // it is gone again
	}
	var owner, when any = []byte(e.owner), []byte(wire.TimeText(e.time))
	switch {
	case d.c.version == wire.V7:
		when = e.time
	case d.c.version == wire.V6 && s.peer.Language != wire.Python:
		when = wire.TimeText(e.time)
	}
	if d.c.version.Typed() && e.ownerText {
		owner = e.owner
	}
	s.tell(now, wire.Whisper, wire.Store, []byte(key), e.value, owner, when)
}

func (d *dictionary) leave(time.Time, *session) {}

func (d *dictionary) deadline() time.Time { return time.Time{} }

func (d *dictionary) advance(time.Time) {}

// sound tells whether a store or delta is one that no node closes on, whatever it has.
func (d *dictionary) sound(m *wire.Message, spreads bool) (ok, mine bool) {
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
			return ok && !spreads, true
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
func (d *dictionary) snapshot(args []any) (key string, e entry, ok bool) {
	key, _ = wire.Text(args[0])
	e.value = args[1]
	if e.owner, ok = wire.Text(args[2]); !ok {
		return
	}
	_, e.ownerText = args[2].(string)
	if e.time, ok = wire.Int(args[3]); ok {
		return key, e, e.time > 0
	}
	text, ok := wire.Text(args[3])
	if !ok {
		return
	}
	var err error
	e.time, err = wire.ParseTime(text)
	return key, e, err == nil
}

// refuses withholds a delete from whom it would end: py has to have the key, and js of 0.7
// takes none. Nor does py survive a delta for what is no map, or a write of the same second
// as what is there if one is of py and the other of js: it compares the owners.
func (d *dictionary) refuses(s *session, m *wire.Message) Drop {
	args := m.Args()
	if len(args) < 2 {
		return ""
	}
	key, _ := wire.Text(args[0])
	e, held := d.entries[key]
	_, isMap := e.value.(wire.Map)
	short := len(args) == 2 && (m.Sub() == wire.Store || m.Sub() == wire.Delta)
	switch sub := m.Sub(); {
	case sub == wire.Delta && held && !isMap:
		return DropDelta
	case short && held && d.c.version.Typed() && s.peer.Language == wire.Python && e.time == m.Time && e.ownerText == m.SenderBin:
		return DropContest
	case sub != wire.Store || !d.deletes(args[1]):
	case d.c.version == wire.V7 && s.peer.Language == wire.JavaScript:
		return DropDelete
	case s.peer.Language == wire.Python && !s.knows[key]:
		return DropDelete
	}
	return ""
}

// note follows which keys a node has, from what it tells or is told.
func (d *dictionary) note(s *session, m *wire.Message) {
	args := m.Args()
	if m.Sub() != wire.Store && m.Sub() != wire.Delta || len(args) < 2 {
		return
	}
	key, _ := wire.Text(args[0])
	if m.Sub() == wire.Store && d.deletes(args[1]) {
		delete(s.knows, key)
	} else if len(s.knows) < maxKnown {
		s.knows[key] = true
	}
}

// handle takes what another node says of the dictionary.
func (d *dictionary) handle(now time.Time, s *session, m *wire.Message) bool {
	args := m.Args()
	switch sub := m.Sub(); {
	case sub == wire.Store && len(args) == 4:
		d.note(s, m)
		key, e, _ := d.snapshot(args)
		switch old, held := d.entries[key]; {
		case (!held || falsy(old.value)) && !d.deletes(e.value) && d.accepts(now, key, e, false):
			d.put(key, e)
		case held && e.owner != old.owner && !sameValue(e.value, old.value):
			d.lost(key, e)
		}
	case sub == wire.Store:
		d.note(s, m)
		key, _ := wire.Text(args[0])
		e := entry{args[1], m.Sender, !m.SenderBin, m.Time}
		if d.accepts(now, key, e, false) {
			d.put(key, e)
		} else {
			d.lost(key, e)
		}
	case sub == wire.Delta:
		d.note(s, m)
		key, _ := wire.Text(args[0])
		if e := (entry{nil, m.Sender, !m.SenderBin, m.Time}); !d.merge(now, key, args[1].(wire.Map), e) {
			d.lost(key, e)
		}
	default:
		return false
	}
	return true
}

// lost tells a bridge of a write that was not taken.
func (d *dictionary) lost(key string, e entry) {
	if !marked(e.owner) {
		d.c.tell(contest{key, e.owner, e.ownerText, goValue(e.value), e.time})
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
func (d *dictionary) put(key string, e entry) {
	if !d.keep(key, e) {
		return
	}
	c := Change{Key: key, Owner: e.owner, Time: time.Unix(e.time, 0).UTC(), Deleted: d.deletes(e.value)}
	if !c.Deleted {
		c.Value = goValue(e.value)
	}
	d.c.tell(c)
}

// keep does so, and tells whether that is a change.
func (d *dictionary) keep(key string, e entry) bool {
	old, held := d.entries[key]
	if d.deletes(e.value) {
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
		d.c.drop(DropFull)
		return false
	}
	if d.bytes+size > maxDictBytes {
		d.c.drop(DropFull)
		return false
	}
	d.bytes += size
	d.entries[key] = e
	return true
}

// merge takes a delta, if the rule allows it and there is a map or nothing.
func (d *dictionary) merge(now time.Time, key string, delta wire.Map, e entry) bool {
	old, held := d.entries[key]
	base, isMap := old.value.(wire.Map)
	if held && !isMap || !d.accepts(now, key, e, true) {
		return false
	}
	e.value = mergeMaps(base, delta)
	d.put(key, e)
	return true
}

// mergeMaps is a map with the keys of another.
func mergeMaps(base, delta wire.Map) wire.Map {
	merged := slices.Clone(base)
	for _, p := range delta {
		if i := slices.IndexFunc(merged, func(q wire.Pair) bool { return sameKey(p.Key, q.Key) }); i >= 0 {
			merged[i].Value = p.Value
		} else {
			merged = append(merged, p)
		}
	}
	return merged
}

// sameKey compares keys of maps, of which py2 has bytes where others have text.
func sameKey(a, b any) bool {
	x, isText := wire.Text(a)
	y, alsoText := wire.Text(b)
	if isText || alsoText {
		return isText && alsoText && x == y
	}
	return sameValue(a, b)
}

// write has this node write a key, or delete it if the value says so.
func (d *dictionary) write(now time.Time, key string, value any) error {
	if err := d.mine(now, key, false); err != nil {
		return err
	}
	m, err := d.c.broadcast(d.after(now, key), wire.Store, []byte(key), value)
	if err != nil {
		return err
	}
	d.put(key, entry{value, d.c.id, true, m.Time})
	return nil
}

// writeDelta has this node merge a map into that of a key.
func (d *dictionary) writeDelta(now time.Time, key string, delta wire.Map) error {
	if err := d.mine(now, key, true); err != nil {
		return err
	}
	old, held := d.entries[key]
	if _, isMap := old.value.(wire.Map); held && !isMap {
		return ErrNoMap
	}
	m, err := d.c.broadcast(d.after(now, key), wire.Delta, []byte(key), delta)
	if err != nil {
		return err
	}
	d.merge(now, key, delta, entry{nil, d.c.id, true, m.Time})
	return nil
}

// after is a time at which a write of this node is later than what others have written
// where that decides: py compares the owners of equal times, and not all of them survive it.
func (d *dictionary) after(now time.Time, key string) time.Time {
	if e, held := d.entries[key]; held && e.owner != d.c.id && e.time >= now.Unix() && !d.leasing {
		return time.Unix(e.time+1, 0)
	}
	return now
}

// mine tells why this node may not write a key.
func (d *dictionary) mine(now time.Time, key string, delta bool) error {
	e, held := d.entries[key]
	if !held || d.accepts(now, key, entry{nil, d.c.id, true, d.after(now, key).Unix()}, delta) && (e.owner == d.c.id || e.time != now.Unix() || !d.leasing) {
		return nil
	}
	return &LeaseError{Key: key, Owner: e.owner, Until: time.Unix(e.time, 0).Add(lease).UTC()}
}
