package compat

// CORE: who is who on either side of a bridge.

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
	mark     = "go2p"
	idLength = 66
)

// derive is the ID that an author of another network has in an old one. All bridges make
// the same, so that what they send is the same to the byte and old nodes drop it the
// second time.
func derive(author, subnetID string) string {
	h := sha512.Sum384([]byte("go2p bridge\x00" + subnetID + "\x00" + author))
	text := strings.Repeat("1", idLength) + wire.Base58(h[:])
	return mark + text[len(text)-idLength+len(mark):]
}

// marked tells whether an ID is derived: what is said under it has come over a bridge, and
// never goes back over one.
func marked(id string) bool { return len(id) == idLength && strings.HasPrefix(id, mark) }

// originOf is what an old node is called elsewhere.
func originOf(subnet, id string) string { return OriginPrefix + subnet + "/" + id }

// splitOrigin undoes originOf.
func splitOrigin(origin string) (subnet, id string, ok bool) {
	rest, ok := strings.CutPrefix(origin, OriginPrefix)
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}
