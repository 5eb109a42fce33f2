package legacy

import (
	"time"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// joined queues all keys for a new node.
func (d *SyncMap) joined(_ time.Time, s *Session) { s.backlog = sortedKeys(d.entries) }

// introduce tells a new node one entry, in the form that its version and language read.
func (d *SyncMap) introduce(now time.Time, s *Session, key string) {
	e, held := d.entries[key]
	if !held {
		return // it was deleted meanwhile
	}
	var owner, when any = []byte(e.Owner), []byte(wire.TimeText(e.Time))
	switch {
	case d.version == wire.V7:
		when = e.Time
	case d.version == wire.V6 && s.peer.Language != wire.Python:
		when = wire.TimeText(e.Time)
	}
	if d.version.Typed() && e.OwnerText {
		owner = e.Owner
	}
	d.node.send(now, s, wire.Whisper, wire.Store, []byte(key), e.Value, owner, when)
}

// validate reports whether all nodes survive a store or delta, and whether the message is one.
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

// snapshot reads an entry that a node tells to a new one. It reports false if it has a wrong form.
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

// refuses withholds what would end another node. py must have a key that is deleted, and js of 0.7 survives no delete.
// py survives no delta for a value that is no map. It compares the owners of equal times, and does not survive that if
// one is of py and the other of js.
func (d *SyncMap) refuses(s *Session, m *wire.Message) Drop {
	args := m.Args()
	if len(args) < 2 {
		return 0
	}
	key, _ := wire.Text(args[0])
	e, held := d.entries[key]
	_, isMap := e.Value.(wire.Map)
	py := s.peer.Language == wire.Python
	write := len(args) == 2 && (m.Sub() == wire.Store || m.Sub() == wire.Delta)
	switch sub := m.Sub(); {
	case sub == wire.Delta && held && !isMap:
		return DropDelta
	case py && d.version.Typed() && write && held && e.Time == m.Time && e.OwnerText == m.SenderBin:
		return DropConflict
	case sub != wire.Store || !Deletes(d.version, args[1]):
	case d.version == wire.V7 && s.peer.Language == wire.JavaScript:
		return DropDelete
	case py && !s.knows[key]:
		return DropDelete
	}
	return 0
}

// noteSent follows which keys another node has, from what it is told and what it tells.
func (d *SyncMap) noteSent(s *Session, m *wire.Message) {
	args := m.Args()
	if m.Sub() != wire.Store && m.Sub() != wire.Delta || len(args) < 2 {
		return
	}
	key, _ := wire.Text(args[0])
	if m.Sub() == wire.Store && Deletes(d.version, args[1]) {
		delete(s.knows, key)
	} else if len(s.knows) < MaxKnown {
		s.knows[key] = true
	}
}

// handle handles a store or delta. It reports whether the message is one.
func (d *SyncMap) handle(now time.Time, s *Session, m *wire.Message) bool {
	args := m.Args()
	switch sub := m.Sub(); {
	case sub == wire.Store && len(args) == 4:
		d.noteSent(s, m)
		key, e, _ := d.snapshot(args)
		switch old, held := d.entries[key]; {
		case (!held || falsy(old.Value)) && !Deletes(d.version, e.Value) && d.accepts(now, key, e, false):
			d.apply(key, e)
		case held && e.Owner != old.Owner && !SameValue(e.Value, old.Value):
			d.conflict(key, e)
		}
	case sub == wire.Store:
		d.noteSent(s, m)
		key, _ := wire.Text(args[0])
		e := Entry{Value: args[1], Owner: m.Sender, OwnerText: !m.SenderBin, Time: m.Time}
		if d.accepts(now, key, e, false) {
			d.apply(key, e)
		} else {
			d.conflict(key, e)
		}
	case sub == wire.Delta:
		d.noteSent(s, m)
		key, _ := wire.Text(args[0])
		if e := (Entry{Owner: m.Sender, OwnerText: !m.SenderBin, Time: m.Time}); !d.merge(now, key, args[1].(wire.Map), e) {
			d.conflict(key, e)
		}
	default:
		return false
	}
	return true
}

// conflict adds a WriteConflict to the effects, unless a ghost has written.
func (d *SyncMap) conflict(key string, e Entry) {
	if !IsGhost(e.Owner) {
		d.node.out.Conflicts = append(d.node.out.Conflicts, WriteConflict{
			Key: key, Sender: e.Owner, SenderText: e.OwnerText, Value: ToGo(e.Value), Time: e.Time,
		})
	}
}

// falsy reports whether a value counts as none in Python.
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
