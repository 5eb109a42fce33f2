package chord

import (
	"log/slog"
	"time"

	"github.com/p2p-today/go2p/chord/internal/home"
	"github.com/p2p-today/go2p/internal/notify"
)

// A storage is what this peer stores: the versions in memory, the values in an engine. The
// lock of its node guards it.
//
// Invariant: the engine has the value of each version that the store has, and writes of one
// key reach the engine in the order of their versions.
type storage struct {
	log     *slog.Logger
	store   *home.Store
	engine  engine
	changes *home.ChangeLog
	changed *notify.Broadcast // the change log has grown
	failed  error             // why nothing is stored any more
}

// read returns what is stored of a key, the zero version if that is nothing. Unless the
// question is brief, or the key deleted, the value comes with it.
func (s *storage) read(key string, brief bool) (w home.Write, value string, whole bool, err error) {
	w, ok := s.store.Get(key)
	if !ok || brief || w.Deleted {
		return home.Write{Version: w.Version, Deleted: w.Deleted, At: w.At}, "", false, nil
	}
	value, err = s.engine.get(key)
	if err != nil {
		s.fail(err)
	}
	return home.Write{Version: w.Version, At: w.At}, value, true, err
}

// put stores an entry if the store takes it. The entry is on disk when wait returns, which
// is nil if there is nothing to wait for. An entry that is announced gets into the change log.
func (s *storage) put(now time.Time, e home.Entry, announced bool) (did home.Effects, wait func() error, err error) {
	if did = s.store.Put(now, e.Key, e.Write); did.Outcome != home.Stored {
		return did, nil, nil
	}
	if wait, err = s.engine.put(e.Key, e.Write, e.Value); err != nil {
		s.fail(err)
		return did, nil, err
	}
	if announced {
		s.changes.Add(e)
		s.changed.Notify()
	}
	return did, wait, nil
}

// page returns a page of a selection, with values if they are asked for.
func (s *storage) page(sel home.Selection, values bool) home.Page {
	p := s.store.Page(sel, values)
	for i := range p.Entries {
		if e := &p.Entries[i]; values && !e.Write.Deleted {
			var err error
			if e.Value, err = s.engine.get(e.Key); err != nil {
				s.fail(err)
			}
		}
	}
	return p
}

// forget removes keys.
func (s *storage) forget(keys ...string) {
	s.store.Remove(keys...)
	if err := s.engine.remove(keys); err != nil {
		s.fail(err)
	}
}

// sweep forgets deletions that need not be remembered any more.
func (s *storage) sweep(now time.Time) {
	s.forget(s.store.Expired(now)...)
	if err := s.engine.stamp(now); err != nil {
		s.fail(err)
	}
}

// fail ends storing, after the engine did not take or give what it should.
func (s *storage) fail(err error) {
	if s.failed == nil {
		s.failed = err
		s.log.Error("nothing is stored any more", "err", err)
	}
}
