package wire

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/mr-tron/base58"
)

// Base58 returns bytes as one large number in base 58. Unlike base 58 for bytes it has no ones for leading zeros, and
// zero is 1.
func Base58(b []byte) string {
	if text := base58.Encode(new(big.Int).SetBytes(b).Bytes()); text != "" {
		return text
	}
	return "1"
}

// ParseBase58 reads a number in base 58. Empty text is zero, and leading ones do not count. Error: ErrBase58.
func ParseBase58(text string) (*big.Int, error) {
	if text == "" {
		return new(big.Int), nil
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("%w: %d digits", ErrBase58, len(text))
	}
	b, err := base58.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrBase58, text)
	}
	return new(big.Int).SetBytes(b), nil
}

// TimeText returns a time as 0.4 and 0.5 write it, and 0.6 in snapshots.
func TimeText(seconds int64) string { return Base58(big.NewInt(seconds).Bytes()) }

// ParseTime reads such a time. Error: ErrTime.
func ParseTime(text string) (int64, error) {
	n, err := ParseBase58(text)
	if err != nil || !n.IsInt64() || n.Sign() == 0 {
		return 0, fmt.Errorf("%w: %q", ErrTime, text)
	}
	return n.Int64(), nil
}

// SubnetID returns what the nodes of a network compare, computed from its name, transport and version.
func SubnetID(v Version, subnet, transport string) string {
	h := sha256.Sum256([]byte(subnet + transport + v.String()))
	return Base58(h[:])
}

// NodeID returns the ID of a node as py computes it, from its address, its network, and a salt of the process.
func NodeID(host string, port int, subnetID, salt string) string {
	quote := "'"
	if strings.Contains(host, quote) && !strings.Contains(host, `"`) {
		quote = `"` // as Python prints text
	}
	h := sha512.Sum384([]byte("(" + quote + host + quote + ", " + strconv.Itoa(port) + ")" + subnetID + salt))
	return Base58(h[:])
}
