package legacy

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"

	"github.com/p2p-today/go2p/compat/internal/wire"
)

const ringBits = 384

// MaxK is the largest K of a ring of 0.4.
const MaxK = ringBits

// hashes are the five tables. Shift is how far their positions are shifted on the wide ring.
var hashes = [...]struct {
	name  string
	sum   func([]byte) []byte
	shift uint
}{
	{"sha1", func(b []byte) []byte { s := sha1.Sum(b); return s[:] }, 224},
	{"sha224", func(b []byte) []byte { s := sha256.Sum224(b); return s[:] }, 160},
	{"sha256", func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }, 128},
	{"sha384", func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }, 0},
	{"sha512", func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }, 0},
}

const tables = len(hashes)

// A place is that of one of the five copies of a key. Its key is a number in base 58, larger than the ring.
type place struct{ method, key string }

// A ring has 2^ring positions.
type ring uint

// places returns the places of the copies of a key.
func (r ring) places(key string) (list [tables]place) {
	for i, h := range hashes {
		n := new(big.Int).SetBytes(h.sum([]byte(key)))
		if r == ringBits {
			n.Lsh(n, h.shift)
		}
		list[i] = place{h.name, wire.Base58(n.Bytes())}
	}
	return list
}

// distance returns how far it is from a to b, clockwise.
func (r ring) distance(a, b *big.Int) *big.Int {
	d := new(big.Int).Sub(b, a)
	mask := new(big.Int).Lsh(big.NewInt(1), uint(r))
	return d.And(d, mask.Sub(mask, big.NewInt(1)))
}

// reduce returns a number as a position.
func (r ring) reduce(n *big.Int) *big.Int { return r.distance(new(big.Int), n) }

// nearest returns the index of the last node at or before a position, the first of several. It is -1 if there is no
// node.
func (r ring) nearest(nodes []*big.Int, p *big.Int) int {
	best := -1
	var least *big.Int
	for i, n := range nodes {
		if d := r.distance(n, p); best < 0 || d.Cmp(least) < 0 {
			best, least = i, d
		}
	}
	return best
}
