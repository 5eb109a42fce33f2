package mesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/p2p-today/go2p/internal/file"
)

// maxRemembered is how many members of the past are kept and dialled again.
const maxRemembered = 64

// An addressBook is what a mesh remembers from one run to the next: how often it was
// started, and its latest neighbours. Without a directory it forgets. Its owner locks.
type addressBook struct {
	path  string // of the network's own directory; empty without one
	peers map[peer.ID]remembered
	dirty bool
}

type remembered struct {
	Addrs []string  `json:"addrs"`
	Seen  time.Time `json:"seen"`
}

// addressBookFile is the JSON file with the remembered peers.
type addressBookFile struct {
	Peers map[string]remembered `json:"peers"`
}

const (
	bootName  = "boot"
	peersName = "peers.json"
)

// openAddressBook opens the directory of the network and raises its boot counter, which
// is durable before anything is sent under it.
func openAddressBook(dir, tag string, now time.Time) (addressBook, uint64, error) {
	b := addressBook{peers: map[peer.ID]remembered{}}
	if dir == "" {
		return b, uint64(now.UnixMilli()), nil
	}
	b.path = filepath.Join(dir, tag)
	if err := os.MkdirAll(b.path, 0o700); err != nil {
		return b, 0, err
	}
	boot, err := b.raiseBoot()
	if err != nil {
		return b, 0, err
	}
	return b, boot, b.load()
}

func (b *addressBook) raiseBoot() (uint64, error) {
	name := filepath.Join(b.path, bootName)
	var boot uint64
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, err
	default:
		if _, err := fmt.Sscanf(string(data), "%d", &boot); err != nil {
			return 0, fmt.Errorf("%s is damaged: it should be one number; write one there that is higher than any before", name)
		}
	}
	boot++
	return boot, file.Replace(name, fmt.Appendln(nil, boot))
}

func (b *addressBook) load() error {
	name := filepath.Join(b.path, peersName)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var f addressBookFile
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("%s is damaged: %w; it may be removed, the peers in it are then forgotten", name, err)
	}
	for text, r := range f.Peers {
		if p, err := peer.Decode(text); err == nil && len(b.peers) < maxRemembered {
			b.peers[p] = r
		}
	}
	return nil
}

// changed returns the content of the file with the remembered peers, and false if nothing
// has changed since it was asked before.
func (b *addressBook) changed() (f addressBookFile, changed bool) {
	if !b.dirty || b.path == "" {
		return f, false
	}
	b.dirty = false
	f.Peers = map[string]remembered{}
	for p, r := range b.peers {
		f.Peers[p.String()] = r
	}
	return f, true
}

// save writes a file with remembered peers. It touches nothing that changes.
func (b *addressBook) save(f addressBookFile) error {
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	return file.Replace(filepath.Join(b.path, peersName), append(data, '\n'))
}

// note remembers a member. The one seen longest ago makes room, and is reported
// to forget.
func (b *addressBook) note(p peer.ID, addrs []ma.Multiaddr, now time.Time, forget func(peer.ID)) {
	if _, known := b.peers[p]; !known && len(b.peers) >= maxRemembered {
		var oldest peer.ID
		for q, r := range b.peers {
			if oldest == "" || r.Seen.Before(b.peers[oldest].Seen) {
				oldest = q
			}
		}
		delete(b.peers, oldest)
		forget(oldest)
	}
	r := remembered{Seen: now.Round(0)}
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		r.Addrs = append(r.Addrs, a.String())
	}
	b.peers[p] = r
	b.dirty = true
}

func (b *addressBook) ids() []peer.ID {
	ids := make([]peer.ID, 0, len(b.peers))
	for p := range b.peers {
		ids = append(ids, p)
	}
	return ids
}

// addrs returns the remembered addresses of p.
func (b *addressBook) addrs(p peer.ID) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, text := range b.peers[p].Addrs {
		if a, err := ma.NewMultiaddr(strings.TrimSpace(text)); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
