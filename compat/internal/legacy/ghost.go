package legacy

import (
	"crypto/sha512"
	"strings"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

// OriginPrefix begins the names of old nodes: legacy:<subnet>/<id>.
const OriginPrefix = "legacy:"

// A derived ID begins with the mark and is as long as an ID can be. As a number it is
// larger than any that a node makes for itself, so that nobody has one by chance.
const (
	Mark     = "go2p"
	idLength = 66
)

// GhostID is the ID that an author of another network has in an old one. All bridges make
// the same, so that what they send is the same to the byte and old nodes drop it the
// second time.
func GhostID(author, subnetID string) string {
	h := sha512.Sum384([]byte("go2p bridge\x00" + subnetID + "\x00" + author))
	text := strings.Repeat("1", idLength) + wire.Base58(h[:])
	return Mark + text[len(text)-idLength+len(Mark):]
}

// IsGhost tells whether an ID is derived: what is said under it has come over a bridge, and
// never goes back over one.
func IsGhost(id string) bool { return len(id) == idLength && strings.HasPrefix(id, Mark) }

// Origin is what an old node is called elsewhere.
func Origin(subnet, id string) string { return OriginPrefix + subnet + "/" + id }

// SplitOrigin undoes Origin.
func SplitOrigin(origin string) (subnet, id string, ok bool) {
	rest, ok := strings.CutPrefix(origin, OriginPrefix)
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}
