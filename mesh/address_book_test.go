package mesh

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestBootIsRaisedAtEachStart(t *testing.T) {
	dir := t.TempDir()
	for want := uint64(1); want < 4; want++ {
		_, boot, err := openAddressBook(dir, "tag", time.Time{})
		if err != nil || boot != want {
			t.Fatalf("boot %d, %v; want %d", boot, err, want)
		}
	}
	if _, boot, _ := openAddressBook(dir, "other", time.Time{}); boot != 1 {
		t.Errorf("another network starts with boot %d", boot)
	}
}

func TestDamagedBookIsReported(t *testing.T) {
	for _, name := range []string{bootName, peersName} {
		dir := t.TempDir()
		if _, _, err := openAddressBook(dir, "tag", time.Time{}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "tag", name)
		if err := os.WriteFile(file, []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openAddressBook(dir, "tag", time.Time{}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("damaged %s: %v", name, err)
		}
		if data, _ := os.ReadFile(file); string(data) != "?" {
			t.Errorf("damaged %s was changed", name)
		}
	}
}

func TestBookForgetsTheOldest(t *testing.T) {
	b, _, err := openAddressBook("", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var forgotten []peer.ID
	for i := range maxRemembered + 2 {
		b.note(peer.ID(fmt.Sprint(i)), nil, at(i), func(p peer.ID) { forgotten = append(forgotten, p) })
	}
	if len(b.peers) != maxRemembered || len(forgotten) != 2 || forgotten[0] != "0" || forgotten[1] != "1" {
		t.Errorf("%d remembered, forgotten %q", len(b.peers), forgotten)
	}
}
