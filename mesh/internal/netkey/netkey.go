// Package netkey derives the tags and keys of a network from its name and its key.
package netkey

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Size is the length in bytes of the key of a private network.
const Size = 32

// A Secret is what the members of a network share and all its other names and
// tags derive from.
type Secret [32]byte

// New returns the secret of a network: HKDF-SHA-256 of key with the name as
// info, or without a key, for an open network, a plain hash of the name.
func New(name string, key []byte) (Secret, error) {
	if name == "" {
		return Secret{}, fmt.Errorf("mesh: the name of the network is empty")
	}
	if key == nil {
		return sha256.Sum256(append([]byte("go2p open"), name...)), nil
	}
	if len(key) != Size {
		return Secret{}, fmt.Errorf("mesh: the key of a network has %d bytes, not %d", Size, len(key))
	}
	derived, err := hkdf.Key(sha256.New, key, nil, name, len(Secret{}))
	return Secret(derived), err
}

// Derive returns 32 bytes for one purpose. Purposes do not tell of each other.
func (s Secret) Derive(purpose string) []byte {
	return s.mac([]byte(purpose))
}

func (s Secret) mac(parts ...[]byte) []byte {
	h := hmac.New(sha256.New, s[:])
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Tag names the network in protocol and topic names, to members only.
func (s Secret) Tag() string {
	return hex.EncodeToString(s.Derive("go2p-tag-1")[:8])
}

// A Role is the side of a hello that a tag speaks for.
type Role byte

const (
	Opener   Role = 'A'
	Answerer Role = 'B'
)

// A HelloTag proves knowledge of a secret to the other end of one hello, and
// shows nothing to those who do not know it.
type HelloTag [16]byte

// HelloTag is bound to both peers, which the secure channel has proven, to both
// fresh nonces and to the side that sends it: it can be neither replayed, nor
// reflected, nor passed on by somebody in the middle. Peer ids are multihashes
// and nonces have one length, so their plain concatenation is unambiguous.
func (s Secret) HelloTag(r Role, idA, idB string, nonceA, nonceB Nonce) HelloTag {
	sum := s.mac([]byte("go2p-hello-1"), []byte{byte(r)}, []byte(idA), []byte(idB), nonceA[:], nonceB[:])
	return HelloTag(sum[:len(HelloTag{})])
}

type Nonce [16]byte
