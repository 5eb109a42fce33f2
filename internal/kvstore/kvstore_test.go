package kvstore

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/p2p-today/go2p/internal/dcbor"
)

var errStore = errors.New("store")

func options(files vfs.FS) Options {
	return Options{FS: files, Format: 3, Err: errStore, Fault: "cannot be read", Advice: "move it away"}
}

func open(t *testing.T, files vfs.FS) *Store {
	t.Helper()
	s, err := Open("dir", options(files))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(t *testing.T, s *Store, durable bool, keys ...string) {
	t.Helper()
	b := s.NewBatch()
	for _, key := range keys {
		b.Set([]byte(key), []byte("value of "+key))
	}
	if err := s.Commit(b, durable); err != nil {
		t.Fatal(err)
	}
}

// rows are the rows of a kind, as one text.
func rows(t *testing.T, s *Store, kind byte) string {
	t.Helper()
	var list []string
	err := s.Rows(kind, func(key string, value []byte) error {
		if string(value) != "value of "+string(kind)+key {
			t.Errorf("%q has %q", key, value)
		}
		list = append(list, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

func TestStore_KeepsRows(t *testing.T) {
	files := vfs.NewMem()
	s := open(t, files)
	set(t, s, false, "a1", "a2", "b1")
	b := s.NewBatch()
	b.Delete([]byte("a1"))
	b.DeleteRows('b')
	b.Set([]byte("c1"), []byte("value of c1"))
	wait, err := s.CommitLater(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s, 'c'); got != "1" {
		t.Errorf("before it is on disk, c has %q", got)
	}
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, files)
	defer s.Close()
	if a, b, c := rows(t, s, 'a'), rows(t, s, 'b'), rows(t, s, 'c'); a != "2" || b != "" || c != "1" {
		t.Errorf("a: %q, b: %q, c: %q", a, b, c)
	}
	var got string
	found, err := s.Get([]byte("a2"), func(value []byte) error { got = string(value); return nil })
	if !found || err != nil || got != "value of a2" {
		t.Errorf("%q, %v, %v", got, found, err)
	}
	found, err = s.Get([]byte("a1"), func([]byte) error { t.Error("it is read"); return nil })
	if found || err != nil {
		t.Errorf("a row that is gone: %v, %v", found, err)
	}
}

func TestStore_DurableIsThereAfterACrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		files := vfs.NewCrashableMem()
		s := open(t, files)
		set(t, s, false, "a1")
		set(t, s, true, "a2")
		set(t, s, false, "a3", "a4")
		crashed := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		s.Close()
		s = open(t, crashed)
		if got := rows(t, s, 'a'); got != "1 2" && got != "1 2 3 4" {
			t.Errorf("after a crash it has %q", got)
		}
		s.Close()
	}
}

func TestOpen_RefusesWhatItCannotRead(t *testing.T) {
	written := func(change func(b Batch)) vfs.FS {
		files := vfs.NewMem()
		s := open(t, files)
		b := s.NewBatch()
		change(b)
		if err := s.Commit(b, true); err != nil {
			t.Fatal(err)
		}
		s.Close()
		return files
	}
	inUse := vfs.NewMem()
	defer open(t, inUse).Close()
	for name, c := range map[string]struct {
		files vfs.FS
		want  string
	}{
		"newer": {
			written(func(b Batch) { b.Set([]byte{FormatRow}, dcbor.AppendUint(nil, 4)) }),
			"store dir was written by a newer version: its format is 4, this program knows up to 3",
		},
		"damaged": {
			written(func(b Batch) { b.Set([]byte{FormatRow}, []byte{0xff}) }),
			`store dir cannot be read: row "f": `,
		},
		"in use": {inUse, "store dir cannot be read: "},
	} {
		_, err := Open("dir", options(c.files))
		if err == nil || !errors.Is(err, errStore) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := open(t, written(func(b Batch) { b.Set([]byte{FormatRow}, dcbor.AppendUint(nil, 2)) })); s != nil {
		s.Close() // an older one is read
	}
}

func TestStore_ErrorsSayWhatToDo(t *testing.T) {
	s := open(t, vfs.NewMem())
	defer s.Close()
	set(t, s, true, "a1")
	bad := errors.New("bad row")
	const want = `store dir cannot be read: row "a1": bad row; move it away`
	if err := s.Rows('a', func(string, []byte) error { return bad }); err == nil || err.Error() != want || !errors.Is(err, bad) {
		t.Error(err)
	}
	if _, err := s.Get([]byte("a1"), func([]byte) error { return bad }); err == nil || err.Error() != want {
		t.Error(err)
	}
	if err := s.Fault(fmt.Errorf("open: %w", fs.ErrPermission)); err.Error() != "store dir: open: permission denied" {
		t.Error(err)
	}
}
