package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/p2p-today/go2p/internal/dcbor"
	"github.com/p2p-today/go2p/internal/value"
)

// MaxOrigin is how many bytes the origin and the ID of a relayed message may have, each.
const MaxOrigin = 256

// A Relayed says where a message is from that a member relays from another network.
// Nothing of it is proven.
type Relayed struct {
	Origin string    // the sender there; with a colon in it, so that it is no peer ID
	ID     string    // of the message there, and of that network: several members may relay it
	Time   time.Time // when it was sent there
}

// ErrOrigin says that an origin is too long, or could be taken for a peer.
var ErrOrigin = errors.New("no origin in another network")

func (r *Relayed) valid() bool {
	return strings.Contains(r.Origin, ":") && max(len(r.Origin), len(r.ID)) <= MaxOrigin
}

// messageID names a message the same, whichever member relays it.
func (r *Relayed) messageID() string {
	sum := sha256.Sum256(dcbor.AppendBytes(dcbor.AppendBytes([]byte("carried\x00"), r.Origin), r.ID))
	return hex.EncodeToString(sum[:12])
}

// encode returns the bytes of relayed packets: those of the origin and the ID before
// those of the packets. That the first is no array tells them from others.
func (r *Relayed) encode(packets []any) ([]byte, error) {
	data, err := encodePackets(packets)
	if err != nil {
		return nil, err
	}
	if !r.valid() {
		return nil, fmt.Errorf("%w: %q, %q, of at most %d bytes each", ErrOrigin, r.Origin, r.ID, MaxOrigin)
	}
	head := dcbor.AppendBytes(dcbor.AppendBytes(nil, r.Origin), r.ID)
	if len(head)+len(data) > MaxMessage {
		return nil, fmt.Errorf("%w: its packets have %d", ErrTooLarge, len(data))
	}
	return append(head, data...), nil
}

func encodePackets(packets []any) ([]byte, error) {
	v, err := value.Normalize(append([]any{}, packets...))
	if err != nil {
		return nil, err
	}
	data, err := value.Marshal(v.([]any))
	if err == nil && len(data) > MaxMessage {
		err = fmt.Errorf("%w: its packets have %d", ErrTooLarge, len(data))
	}
	return data, err
}

// decodePackets reads the packets of a message, and their origin if they are
// relayed.
func decodePackets(data []byte) (r Relayed, packets []any, err error) {
	if len(data) > MaxMessage {
		return r, nil, ErrTooLarge
	}
	if len(data) > 0 && data[0]>>5 == 2 { // a byte string
		s := dcbor.Scan(data)
		origin, id := s.Bytes(), s.Bytes()
		r, data = Relayed{Origin: string(origin), ID: string(id)}, s.Rest()
		if s.Bad() || !r.valid() {
			return r, nil, ErrOrigin
		}
	}
	packets, err = value.Unmarshal(data)
	return r, packets, err
}
