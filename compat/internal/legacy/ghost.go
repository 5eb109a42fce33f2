package legacy

import (
	"crypto/sha512"
	"strings"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// OriginPrefix begins the names that old nodes have in a native network: legacy:<subnet>/<id>.
const OriginPrefix = "legacy:"

// The ID of a ghost begins with Mark and is as long as an ID can be. As a number it is larger than any ID that a node
// makes for itself.
const (
	Mark     = "go2p"
	idLength = 66
)

// GhostID returns the ID that an author of another network has in an old one. All bridges compute the same ID. What
// they send is therefore equal to the byte, and old nodes drop the second copy.
func GhostID(author, subnetID string) string {
	h := sha512.Sum384([]byte("go2p bridge\x00" + subnetID + "\x00" + author))
	text := strings.Repeat("1", idLength) + wire.Base58(h[:])
	return Mark + text[len(text)-idLength+len(Mark):]
}

// IsGhost reports whether an ID is that of a ghost. A message or key of a ghost has come over a bridge, and never goes
// back over one.
func IsGhost(id string) bool { return len(id) == idLength && strings.HasPrefix(id, Mark) }

// Origin returns the name that an old node has in a native network.
func Origin(subnet, id string) string { return OriginPrefix + subnet + "/" + id }

// SplitOrigin undoes Origin. It reports false if the name is not of that form.
func SplitOrigin(origin string) (subnet, id string, ok bool) {
	rest, ok := strings.CutPrefix(origin, OriginPrefix)
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}
