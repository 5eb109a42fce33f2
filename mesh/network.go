package mesh

// CORE: what follows from a network's name and key. No IO, no clock.

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// KeySize is the length in bytes of the key of a private network.
const KeySize = 32

// A secret is what the members of a network share and all its other names and
// tags derive from.
type secret [32]byte

// newSecret returns the secret of a network: HKDF-SHA-256 of key with the name as
// info, or without a key, for an open network, a plain hash of the name.
func newSecret(name string, key []byte) (secret, error) {
	if name == "" {
		return secret{}, fmt.Errorf("mesh: the name of the network is empty")
	}
	if key == nil {
		return sha256.Sum256(append([]byte("go2p open"), name...)), nil
	}
	if len(key) != KeySize {
		return secret{}, fmt.Errorf("mesh: the key of a network has %d bytes, not %d", KeySize, len(key))
	}
	derived, err := hkdf.Key(sha256.New, key, nil, name, len(secret{}))
	return secret(derived), err
}

// derive returns 32 bytes for one purpose. Purposes do not tell of each other.
func (s secret) derive(purpose string) []byte {
	return s.mac([]byte(purpose))
}

func (s secret) mac(parts ...[]byte) []byte {
	h := hmac.New(sha256.New, s[:])
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// tag names the network in protocol and topic names, to members only.
func (s secret) tag() string {
	return hex.EncodeToString(s.derive("go2p-tag-1")[:8])
}

// A role is the side of a hello that a tag speaks for.
type role byte

const (
	opener   role = 'A'
	answerer role = 'B'
)

// A helloTag proves knowledge of a secret to the other end of one hello, and
// shows nothing to those who do not know it.
type helloTag [16]byte

// helloTag is bound to both peers, which the secure channel has proven, to both
// fresh nonces and to the side that sends it: it can be neither replayed, nor
// reflected, nor passed on by somebody in the middle. Peer ids are multihashes
// and nonces have one length, so their plain concatenation is unambiguous.
func (s secret) helloTag(r role, idA, idB string, nonceA, nonceB nonce) helloTag {
	sum := s.mac([]byte("go2p-hello-1"), []byte{byte(r)}, []byte(idA), []byte(idB), nonceA[:], nonceB[:])
	return helloTag(sum[:len(helloTag{})])
}

type nonce [16]byte
